/** What the page of the operating table and its server say to each other; made by `viewer/live` and the table. */

import type { PageDocument } from "./types";

/** What the page itself brings along. */
export interface Known { models: string[]; textLen: number }

export interface Stack { name: string; numLayers: number; numHeads: number }

export interface OfferedFault { name: string; group: string; summary: string }

/** What can be chosen for one model. */
export interface Offer {
  model: string;
  summary: string;
  example: string;
  mostTokens: number;
  stacks: Stack[];
  masks: [string, string][];
  scales: [string, string][];
  faults: OfferedFault[];
}

/** What is chosen. */
export interface Settings {
  model: string;
  text: string;
  mask: string;
  scale: string;
  temperature: number;
  fault: string | null;
  stack: string;
  layers: number[] | null;
  heads: number[] | null;
}

/** One line of what the model says; probabilities from 0 to 1, `after` is null where nothing was done. */
export interface PredictionRow { label: string; before: number; after: number | null }

export interface Fact { label: string; before: string; after: string | null }

export interface Predictions { title: string; rows: PredictionRow[]; facts: Fact[] }

export interface Answer { document: PageDocument; receipt: string[]; predictions: Predictions }
