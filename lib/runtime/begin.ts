/** @file Imported first by `jorch`: begins to load libtorch, and what this script needed the last time, beside jorch's own modules. */
import '../compile/prefetch.js';
import { beginLoad } from './load.js';

beginLoad();
