/**
 * Plugins for Closedloop in AssemblyScript. A plugin is a class that overrides what it can do; the module's entry file
 * makes one and exports the functions of its abilities:
 *
 *     import { Failure, Item, Labels, Plugin, use } from "../closedloop";
 *     export { cl_abi, cl_alloc, cl_configure, cl_categorize } from "../closedloop";
 *
 *     class Shouting extends Plugin {
 *       categorize(item: Item, labels: Labels): Failure | null {
 *         const text = item.text;
 *         if (text.length > 3 && text == text.toUpperCase()) {
 *           labels.theme("tone/shouting", 0.9).evidence(0, item.bytes.length);
 *         }
 *         return null;
 *       }
 *     }
 *
 *     use(new Shouting());
 *
 * The compiler is asc of the npm package assemblyscript, with the options `--exportStart _initialize` and
 * `--use abort=closedloop/host/abort`, so that the module imports nothing but functions of the host.
 *
 * A malformed frame is answered with a failure, never with a trap. Items are views of the host's frame; their strings
 * are made when they are read, and item.bytes costs nothing.
 */
export { Message, NewItem, Note, PollRequest, PollResult, ReceiveRequest, ReceiveResult } from "./connect";
export { Failure } from "./failure";
export {
  cl_abi, cl_alloc, cl_categorize, cl_configure, cl_deliver, cl_poll, cl_receive, Config, Plugin, use,
} from "./guest";
export {
  File, files, Headers, http, kvGet, kvPut, Level, log, now, Outcome, readFile, Request, Response,
} from "./host";
export { Attribute, Bytes, Item, Value, ValueKind } from "./item";
export { Json } from "./json";
export { Labels } from "./labels";
