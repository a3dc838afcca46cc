/** What the page of the operating table and its server say to each other; made by `viewer/live` and the table. */

import type { PageDocument, Predictions } from "./types";

/** What the page itself brings along. */
export interface Known { models: string[]; textLen: number }

export interface Stack { name: string; numLayers: number; numHeads: number }

export interface OfferedFault { name: string; group: string; summary: string }

/** An operation that is prepared for a class, with the question that it answers. */
export interface Lesson extends Partial<Settings> { title: string; question: string }

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
  lessons: Lesson[];
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

export interface Answer { document: PageDocument; receipt: string[]; predictions: Predictions }
