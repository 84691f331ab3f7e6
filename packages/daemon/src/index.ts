/** What a daemon needs of the system that it runs on: its settings, the service manager, the journal. */
export { createLog, LOG_LEVELS, type Logger, type LogLevel } from './log.ts';
export { readSecretFile } from './private-file.ts';
export { openServiceManager, type ServiceManager } from './service-manager.ts';
export { parseSettings, type SettingsOptions } from './settings.ts';
export { exitForUsage } from './usage.ts';
