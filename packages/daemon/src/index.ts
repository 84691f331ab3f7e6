/** The connections of a daemon to its system: settings, privileges, service manager, journal. */
export { CAPABILITIES, type Capability, has, maskOf, type Privileges, parsePrivileges } from './capabilities.ts';
export { lockFile } from './file-lock.ts';
export { collectGarbage } from './garbage.ts';
export { createLog, LOG_LEVELS, type Logger, type LogLevel } from './log.ts';
export { type Delays, LoopDelay } from './loop-delay.ts';
export { isForeign, requireNotReplaceable, requireOwnFolder, requireOwnProgram } from './own-files.ts';
export { readSecretFile } from './private-file.ts';
export { keepOnly, readPrivileges } from './privileges.ts';
export { openServiceManager, type ServiceManager } from './service-manager.ts';
export { parseSettings, type SettingsOptions } from './settings.ts';
export { openUnixDatagrams, type UnixDatagrams } from './unix-datagram.ts';
export { exitForUsage, yes } from './usage.ts';
export { readYamlFile } from './yaml-file.ts';
