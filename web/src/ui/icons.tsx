// Line icons, 16 × 16, in the colour of the text beside them.

import "./icons.css";

const PATHS = {
  overview: "M2.5 2.5h4.5v4.5h-4.5zM9 2.5h4.5v4.5h-4.5zM2.5 9h4.5v4.5h-4.5zM9 9h4.5v4.5h-4.5z",
  graph: "M1.5 6h4v4h-4zM10.5 2h4v4h-4zM10.5 10h4v4h-4zM5.5 8h2.5V4h2.500M8 8v4h2.500",
  timeline: "M1.500 13.500h13M2 10.500h3.500v-4h4v-3h4.500",
  checkpoints: "M3 2.500h10v11l-5-3-5 3z",
  exceptions: "M8 2l6.500 11.500h-13zM8 6.500v3.500M8 11.700v.300",
  taskmanagers: "M2 3h12v4h-12zM2 9h12v4h-12zM4.500 5h.100M4.500 11h.100",
  configuration: "M2 4.500h6M12 4.500h2M10 2.800v3.400M2 11.500h2M8 11.500h6M6 9.800v3.400",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13.500 9.500A6 6 0 0 1 6.500 2.500a6 6 0 1 0 7 7z",
  auto: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 2v12",
  close: "M4 4l8 8M12 4l-8 8",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.500 6V2.500H6M10 2.500h3.500V6M13.500 10v3.500H10M6 13.500H2.500V10",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
