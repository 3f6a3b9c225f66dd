// The build: one script and one style sheet, under names that stay, beside index.html. What comes out is committed
// (web/dist), so that `cargo build` needs no Node; `cargo xtask web` checks that it is what these sources give.
import { defineConfig } from "vite";

const jobManager = process.env.REFLOW_JOBMANAGER ?? "http://localhost:8081";

export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    // The first that know light-dark().
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    outDir: "dist",
    modulePreload: false,
    assetsInlineLimit: 0,
    sourcemap: false,
    // Their authors ask that their licences go with each copy.
    license: { fileName: "licenses.txt" },
    rollupOptions: {
      output: {
        entryFileNames: "assets/app.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  // `npm run dev`: the sources as they are, over a JobManager that runs.
  server: {
    proxy: { "^/(config|overview|jobs|jobmanager|taskmanagers)(/.*)?$": jobManager },
  },
  test: { include: ["test/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
