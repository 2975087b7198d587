// The explain page as one file: the model is within it, and nothing is asked of anybody.

import { byId } from "./dom.js";
import { startPage } from "./explain.js";
import { Local } from "./local.js";

startPage(new Local(JSON.parse(byId("portable").textContent)));
