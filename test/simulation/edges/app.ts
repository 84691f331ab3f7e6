/** Stands in for what a controller prepares for HTTP, which is outside. */
export async function warmUp(): Promise<void> {}
