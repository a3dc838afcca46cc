/** What the page's data looks like; made by `viewer/document.py`. */

export interface Codes { kind: "codes"; top: number; steps: number; data: string }
export interface Numbers { kind: "numbers"; data: string }
export type Entry = Codes | Numbers;

export interface Strongest { count: number; top: number; data: string }

export interface StepsEntry {
  keySize: number;
  valueSize: number;
  functions: string[];
  formulas: string[];
  query: string; key: string; value: string;
  scores: string; scaled: string; masked: string; output: string;
}

export interface MapEntry {
  place: string[];
  name: string;
  group: number | null;
  frame: number;
  steps: number | null;
  largest: Entry;
  mean: Entry | null;
  strongest?: Strongest;
  top: number;
  /** Query, key, and by how much it stands out: where to look first. */
  start: [number, number, number];
  sink: { column: number; share: number; topElsewhere: number };
  numbers: (number | null)[];
  pattern: { name: string; title: string; score: number | null } | null;
  rowSums: [number, number] | null;
  call: StepsEntry | null;
}

export interface Statistic {
  name: string; title: string; formula: string; unit: string; meaning: string; source: string;
}

/** How the cells of a map lie: the same for all maps whose cells have one size. */
export interface Cells { block: number; rowEdges: number[]; columnEdges: number[] }

/** The cells of one map with the tokens of its side. */
export interface Frame extends Cells {
  numQueries: number;
  numKeys: number;
  queryTokens: string[] | null;
  keyTokens: string[] | null;
  /** Whether the cells are whole words, which may hold several tokens: then `queryWords` and `keyWords` name them. */
  queryWords?: string[];
  keyWords?: string[];
}

/** What a vision model read: the picture, how many patches it was cut into, and how many positions stand before them. */
export interface Picture {
  image: string; width: number; height: number; rows: number; columns: number; inFront: number;
}

export interface Side {
  label: string;
  numQueries: number;
  numKeys: number;
  queryTokens: string[] | null;
  keyTokens: string[] | null;
  /** How many tokens were given to a model that wrote the others step by step; null: nothing was written. */
  promptLength: number | null;
  /** Null: no picture was read. */
  picture: Picture | null;
  frames: Cells[];
  statistics: Statistic[];
  source: string;
  maps: MapEntry[];
}

/** Distances map by map, and where a reader begins: at the largest difference. */
export interface Comparison {
  statistics: Statistic[];
  rows: (number | null)[][];
  start: { map: number; query: number; key: number };
}

/** One line of what the model says; probabilities from 0 to 1, `after` is null where nothing was done. */
export interface PredictionRow { label: string; before: number; after: number | null }

export interface Fact { label: string; before: string; after: string | null }

export interface Predictions { title: string; rows: PredictionRow[]; facts: Fact[] }

/** What was done to the model, and what came of it; `maps` are the numbers of those that were operated on. */
export interface Operation {
  sentence: string;
  settings: [string, string][];
  receipt: string[];
  predictions: Predictions;
  maps: number[];
  mark: string;
}

export interface PageDocument {
  format: string;
  version: number;
  title: string;
  axes: string[];
  sides: Side[];
  comparison: Comparison | null;
  operation: Operation | null;
  /** The name of this stack of layers, and the other stacks; "" and none where there is one. */
  stack: string;
  others: PageDocument[];
}

/** The cells of one map at one fineness: the largest and the mean weight of each. */
export interface Level {
  rows: number;
  columns: number;
  rowEdges: ArrayLike<number>;
  columnEdges: ArrayLike<number>;
  largest: Float32Array;
  mean: Float32Array;
}

/** What is known about one weight or one cell. */
export interface Reading { value: number; low: number; high: number }

export interface Camera { x: number; y: number; size: number }

export interface Box { left: number; top: number; width: number; height: number }

export type Pooling = "largest" | "mean";
export type Scale = "linear" | "log";
export type ViewName = "map" | "heads" | "picture" | "text" | "lines" | "steps" | "numbers" | "compare";
export type Theme = "auto" | "light" | "dark";

export interface State {
  view: ViewName;
  side: number;
  map: number;
  query: number;
  key: number;
  pooling: Pooling;
  scale: Scale;
  hideSink: boolean;
  theme: Theme;
  sortBy: string;
  /** Whether all maps of the wall share one scale of colours. */
  isCommon: boolean;
  /** Whether tokens that make one word are shown as one. */
  isByWord: boolean;
  /** Whether the lines of all tokens are drawn, not those of the chosen one alone. */
  hasAllLines: boolean;
  /** Maps whose lines are drawn beside those of the chosen one. */
  others: number[];
  /** Whether the text shows what the chosen token gets, not what it gives. */
  isReceived: boolean;
  /** Whether the picture is shown without the weights. */
  isBare: boolean;
  camera: Camera | null;
}
