/** What a verb is handed instead of reaching for the process, so that tests can hand in their own. */
export interface CliContext {
  /** Sets the exit code; the verb then ends by returning. */
  exit(code: number): void
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  readonly env: Readonly<Record<string, string | undefined>>
}
