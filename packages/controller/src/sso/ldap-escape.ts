/** Text of strangers within filters and names of LDAP. */

/** A value within a filter (RFC 4515, section 3): whatever it holds, it is compared as it is. */
export function escapeInFilter(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL has to be escaped
  return value.replace(/[\x00()*\\]/g, hex);
}

/** A value within a distinguished name (RFC 4514, section 2.4). */
export function escapeInDn(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL has to be escaped
  return value.replace(/[\x00"+,;<>=\\#]|^ | $/g, hex);
}

/** Puts a value wherever a template has `part`. */
export function fill(template: string, part: string, value: string): string {
  return template.replaceAll(part, () => value);
}

function hex(character: string): string {
  return `\\${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
