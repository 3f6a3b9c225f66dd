// Where the vertices of a job graph lie: layers from left to right by the longest way from a source, the order in a
// layer by where the neighbours lie (barycentres, a few sweeps), and a lane through each layer that an edge passes,
// so that no edge runs behind a vertex. A pure function of the graph: parallelism and figures move nothing.

export interface Edge {
  from: string;
  to: string;
  label: string;
}

export interface Place {
  id: string;
  layer: number;
  x: number;
  y: number;
}

export interface Route {
  from: string;
  to: string;
  label: string;
  /** The curve, as a path of SVG. */
  path: string;
  /** Where the label is to stand. */
  x: number;
  y: number;
}

export interface Layout {
  places: Map<string, Place>;
  routes: Route[];
  width: number;
  height: number;
}

export const BOX = { width: 248, height: 126 };
const GAP = { between: 28, layers: 112 };
const LANE = 18;
const SWEEPS = 6;

interface Item {
  key: string;
  layer: number;
  lane: boolean;
  y: number;
  before: Item[];
  after: Item[];
}

const breadth = (item: Item): number => (item.lane ? LANE : BOX.height);
const middle = (item: Item): number => item.y + breadth(item) / 2;

/** For each vertex its layer. What is part of a cycle, which no job has, is cut where it is met. */
export function layersOf(ids: string[], edges: Edge[]): Map<string, number> {
  const inputs = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const { from, to } of edges) if (inputs.has(from)) inputs.get(to)?.push(from);
  const layers = new Map<string, number>();
  const under = new Set<string>();
  const layer = (id: string): number => {
    const found = layers.get(id);
    if (found !== undefined) return found;
    if (under.has(id)) return -1;
    under.add(id);
    const value = Math.max(-1, ...(inputs.get(id) ?? []).map(layer)) + 1;
    under.delete(id);
    layers.set(id, value);
    return value;
  };
  ids.forEach(layer);
  return layers;
}

export function layout(ids: string[], edges: Edge[]): Layout {
  const layerOf = layersOf(ids, edges);
  const layers: Item[][] = [];
  const items = new Map<string, Item>();
  const put = (key: string, layer: number, lane: boolean): Item => {
    const item: Item = { key, layer, lane, y: 0, before: [], after: [] };
    layers[layer] ??= [];
    layers[layer].push(item);
    items.set(key, item);
    return item;
  };
  for (const id of ids) put(id, layerOf.get(id) ?? 0, false);
  const chains = edges
    .filter(({ from, to }) => layerOf.has(from) && layerOf.has(to))
    .map((edge, number) => ({ edge, chain: chainOf(edge, number, items, put) }));
  order(layers);
  place(layers);
  const places = new Map<string, Place>();
  for (const item of items.values()) {
    if (!item.lane) places.set(item.key, { id: item.key, layer: item.layer, x: xOf(item.layer), y: item.y });
  }
  const bottom = Math.max(0, ...layers.map((layer) => Math.max(...layer.map((item) => item.y + breadth(item)))));
  return {
    places,
    routes: chains.map(({ edge, chain }) => route(edge, chain)),
    width: Math.max(0, xOf(layers.length) - GAP.layers),
    height: bottom,
  };
}

const xOf = (layer: number): number => layer * (BOX.width + GAP.layers);

/** The items that an edge goes through, with lanes in the layers between. */
function chainOf(
  { from, to }: Edge,
  number: number,
  items: Map<string, Item>,
  put: (key: string, layer: number, lane: boolean) => Item,
): Item[] {
  const [start, end] = [items.get(from)!, items.get(to)!];
  const chain = [start];
  for (let layer = start.layer + 1; layer < end.layer; layer += 1)
    chain.push(put(`lane ${number} ${layer}`, layer, true));
  chain.push(end);
  for (let i = 1; i < chain.length; i += 1) {
    chain[i]!.before.push(chain[i - 1]!);
    chain[i - 1]!.after.push(chain[i]!);
  }
  return chain;
}

/** Fewer crossings: each layer in the order of its neighbours' middle, forwards and backwards in turn. */
function order(layers: Item[][]): void {
  const rank = new Map<Item, number>();
  const count = (layer: Item[]) => {
    for (const [index, item] of layer.entries()) rank.set(item, index);
  };
  layers.forEach(count);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forwards = sweep % 2 === 0;
    for (const layer of forwards ? layers : [...layers].reverse()) {
      const wanted = new Map(layer.map((item) => [item, mean(forwards ? item.before : item.after, rank, item)]));
      layer.sort((one, other) => wanted.get(one)! - wanted.get(other)!);
      count(layer);
    }
  }
}

function mean(neighbours: Item[], rank: Map<Item, number>, item: Item): number {
  if (!neighbours.length) return rank.get(item)!;
  return neighbours.reduce((sum, it) => sum + rank.get(it)!, 0) / neighbours.length;
}

/** Heights: each item as near to its neighbours' middle as its layer's order allows. */
function place(layers: Item[][]): void {
  const tallest = Math.max(0, ...layers.map((layer) => layer.reduce((sum, it) => sum + breadth(it) + GAP.between, 0)));
  for (const layer of layers) {
    const total = layer.reduce((sum, item) => sum + breadth(item) + GAP.between, -GAP.between);
    let y = (tallest - GAP.between - total) / 2;
    for (const item of layer) {
      item.y = y;
      y += breadth(item) + GAP.between;
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forwards = sweep % 2 === 0;
    for (const layer of forwards ? layers : [...layers].reverse()) settle(layer, forwards);
  }
  const top = Math.min(0, ...layers.flat().map((item) => item.y)) || Math.min(...layers.flat().map((item) => item.y));
  for (const item of layers.flat()) item.y -= Number.isFinite(top) ? top : 0;
}

function settle(layer: Item[], forwards: boolean): void {
  const wanted = layer.map((item) => {
    const neighbours = forwards ? item.before : item.after;
    if (!neighbours.length) return item.y;
    return neighbours.reduce((sum, it) => sum + middle(it), 0) / neighbours.length - breadth(item) / 2;
  });
  // Blocks of items that touch go where they are wanted on average; those that overlap become one.
  interface Block {
    items: Item[];
    offsets: number[];
    sum: number;
    length: number;
    y: number;
  }
  const blocks: Block[] = [];
  layer.forEach((item, index) => {
    const want = wanted[index]!;
    let block: Block = { items: [item], offsets: [0], sum: want, length: breadth(item), y: want };
    for (let last = blocks.at(-1); last && last.y + last.length + GAP.between > block.y; last = blocks.at(-1)) {
      blocks.pop();
      const shift = last.length + GAP.between;
      block = {
        items: [...last.items, ...block.items],
        offsets: [...last.offsets, ...block.offsets.map((offset) => offset + shift)],
        sum: last.sum + block.sum - shift * block.items.length,
        length: shift + block.length,
        y: 0,
      };
      block.y = block.sum / block.items.length;
    }
    blocks.push(block);
  });
  for (const { items, offsets, y } of blocks) {
    for (const [index, item] of items.entries()) item.y = y + offsets[index]!;
  }
}

/** A curve through the chain. Through a lane it runs level. */
function route({ from, to, label }: Edge, chain: Item[]): Route {
  const round = (value: number) => Math.round(value * 10) / 10;
  let path = "";
  for (let i = 1; i < chain.length; i += 1) {
    const [a, b] = [chain[i - 1]!, chain[i]!];
    const start = xOf(a.layer) + BOX.width;
    const end = xOf(b.layer);
    const half = round((start + end) / 2);
    const [y1, y2] = [round(middle(a)), round(middle(b))];
    path += i === 1 ? `M${start} ${y1}` : `L${start} ${y1}`;
    path += `C${half} ${y1} ${half} ${y2} ${end} ${y2}`;
  }
  const [a, b] = [chain.at(-2)!, chain.at(-1)!];
  const x = (xOf(a.layer) + BOX.width + xOf(b.layer)) / 2;
  return { from, to, label, path, x, y: (middle(a) + middle(b)) / 2 };
}
