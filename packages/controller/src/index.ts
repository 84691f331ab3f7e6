/** The controller, for callers that start it within another process. */
export { type Controller, type ControllerOptions, startController } from './controller.ts';
