import Checkpoints
import Evaluation
import Foundations
import MessagePassing

/// What a training finds on its validation images.
extension Trainer {
  /// What was found on the validation images, on rank 0.
  struct Validation {
    var metrics: EvaluationMetrics
    /// Nil where these images allow none.
    var calibration: Calibration?
    var summary: [JSON.Member]
    /// Of the average of the weights; empty where there is none.
    var averageSummary: [JSON.Member]
    var seconds: Double

    func line(step: Int) -> JSON {
      .object(
        [.init("step", .integer(step))]
          + summary.map { .init("validation_\($0.name)", $0.value) }
          + averageSummary.map { .init("validation_average_\($0.name)", $0.value) }
          + [.init("validation_seconds", .number(seconds))])
    }
  }

  /// - Throws: `StopRequest.Interruption` on all ranks if one was asked to stop.
  func validate(_ progress: ProgressLine?) throws -> Validation? {
    guard let set = data.validation else { return nil }
    RankStatus.enter(.validating)
    report(.validating)
    let watch = Stopwatch()
    func logits() throws -> [Float]? {
      try validationPass.logits(
        set, data.validationSamples, afterBatch: { try StopRequest.check(communicator) })
    }
    func score(_ logits: [Float]) throws -> ScoredSet {
      try ScoredSet(logits: logits, set: set, samples: data.validationSamples, sources: nil)
    }
    let own = try logits()
    let averaged = try step.average?.withAverage { try logits().map(score) }
    guard let own else { return nil }
    let scored = try score(own)
    let overall = scored.metrics.overall
    let text = [("AUC", overall.auc), ("AP", overall.averagePrecision), ("EER", overall.eer)]
      .map { "\($0.0) \($0.1.map { fixed($0, 4) } ?? "-")" }.joined(separator: "  ")
    progress?.message("step \(steps): validation \(text)")
    return Validation(
      metrics: scored.metrics,
      calibration: try? Calibration(
        fitting: own, labels: scored.labels, data: configuration.data.validation),
      summary: scored.summary, averageSummary: averaged?.summary ?? [], seconds: watch.seconds)
  }
}
