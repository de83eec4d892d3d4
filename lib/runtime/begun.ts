/** @file Imported last by `jorch`: from here on the script that imports it may write to the environment, and end. */
import { endLoad } from './load.js';

endLoad();
