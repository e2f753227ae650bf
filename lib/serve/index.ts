// What `node-diffusion/serve` exports: the APIs of a server, to mount or to listen with.

// Its types name those of Node, so that whoever imports them gets those too, if they are installed (`@types/node`).
/// <reference types="node" preserve="true" />

export { createHandler, type Handler } from './handler.ts';
export type { ServeLimits } from './limits.ts';
export type { LogEntry, ServeLogger } from './log.ts';
export type { ServeLoadOptions } from './models.ts';
export type { HandlerOptions } from './options.ts';
export { type ServeOptions, type Server, serve } from './server.ts';
