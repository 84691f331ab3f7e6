/** The connections of a daemon to its system: settings, service manager, journal. */
export { createLog, LOG_LEVELS, type Logger, type LogLevel } from './log.ts';
export { readSecretFile } from './private-file.ts';
export { openServiceManager, type ServiceManager } from './service-manager.ts';
export { parseSettings, type SettingsOptions } from './settings.ts';
export { exitForUsage } from './usage.ts';
export { readYamlFile } from './yaml-file.ts';
