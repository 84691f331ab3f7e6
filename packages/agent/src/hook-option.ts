/** The option by which an operator chooses how programs hang at devices. */
import { Option } from 'commander';

export const HOOK_OPTION = new Option(
  '--hook <kind>',
  'how programs hang at devices; auto: tcx where the kernel has it, else clsact',
)
  .choices(['auto', 'tcx', 'clsact'])
  .default('auto');
