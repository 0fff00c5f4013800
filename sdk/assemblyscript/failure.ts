/** An error that says whether trying again can help. */
export class Failure {
  /** Short and stable, such as bad_score; may be empty. */
  code: string = "";
  /** When to try again, in milliseconds from now; 0 leaves it to the host. */
  afterMs: u64 = 0;

  constructor(
    /** For people. */
    public message: string,
    /** Trying again will not help. */
    public fatal: bool,
  ) {}

  /** An error that will not go away by trying again. */
  static fatal(message: string): Failure {
    return new Failure(message, true);
  }

  /** An error that may pass. */
  static retry(message: string): Failure {
    return new Failure(message, false);
  }

  withCode(code: string): Failure {
    this.code = code;
    return this;
  }

  after(ms: u64): Failure {
    this.afterMs = ms;
    return this;
  }
}
