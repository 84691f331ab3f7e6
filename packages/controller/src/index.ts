/** The controller, for whoever starts it within another process. */
export { type Controller, type ControllerOptions, startController } from './controller.ts';
