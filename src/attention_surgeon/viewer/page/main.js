/** @file Starts a page whose data stand in it. */

import { App } from "./app.js";

const host = document.getElementById("page");
const text = document.getElementById("data")?.textContent;
if (host && text) new App(host, JSON.parse(text));
