/** The option for the kind of hook. */
import { Option } from 'commander';

export const HOOK_OPTION = new Option(
  '--hook <kind>',
  'how BPF programs are attached to devices; auto: tcx if the kernel has it, else clsact',
)
  .choices(['auto', 'tcx', 'clsact'])
  .default('auto');
