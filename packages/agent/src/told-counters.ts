/** Leaves out of a report of counters what has not changed since it was told. Pure but for what it remembers. */
import {
  type CaptureReport,
  type CounterReport,
  captureId,
  type DeliveryReport,
  hookCaptureId,
  type TerminationReport,
} from '@mirrorplane/contract';
import { ToldRows } from './told-rows.ts';

export class ToldCounters {
  readonly #captures = new ToldRows<CaptureReport>(({ policy, source, direction }) =>
    hookCaptureId(captureId(policy, source), direction),
  );
  readonly #deliveries = new ToldRows<DeliveryReport>(({ delivery }) => delivery);
  readonly #terminations = new ToldRows<TerminationReport>(({ termination }) => termination);
  #epoch: string | undefined;

  /** Nothing counts as told any more: the next report is whole. */
  forget(): void {
    for (const told of [this.#captures, this.#deliveries, this.#terminations]) {
      told.forget();
    }
  }

  /**
   * The report with those rows alone that have changed. The controller keeps the others as they are.
   * @param asDifference false: the report stays whole
   */
  tell(report: CounterReport, asDifference: boolean): CounterReport {
    if (report.epoch !== this.#epoch) {
      this.forget();
      this.#epoch = report.epoch;
    }
    return {
      ...report,
      captures: this.#captures.tell(report.captures, asDifference).rows,
      deliveries: this.#deliveries.tell(report.deliveries, asDifference).rows,
      terminations: this.#terminations.tell(report.terminations, asDifference).rows,
    };
  }
}
