import Configuration
import Foundations

/// Ends a training that has stopped getting better: after so many validations in a row none of which was
/// better than the best before.
struct EarlyStopping: Equatable {
  let metric: Configuration.Evaluation.Metric
  /// Validations without improvement that end a training; 0: none do.
  let patience: Int
  private(set) var best: Double?
  /// Validations since the best.
  private(set) var since = 0

  init(_ settings: Configuration.Evaluation) {
    metric = settings.metric
    patience = settings.patience
  }

  /// The training is to end.
  var isOver: Bool { patience > 0 && since >= patience }

  /// Takes in a validation.
  ///
  /// - Parameter figures: by name, as `metrics.jsonl` has them. One in which the metric is not defined
  ///   is none.
  mutating func take(_ figures: [JSON.Member]) {
    guard let value = JSON.object(figures)[metric.rawValue]?.doubleValue else { return }
    let isBetter = best.map { metric.isBetterLower ? value < $0 : value > $0 } ?? true
    since = isBetter ? 0 : since + 1
    if isBetter { best = value }
  }

  // MARK: State

  /// What a checkpoint keeps of it.
  var details: [JSON.Member] {
    [
      .init("early_stopping_best", .optional(best)), .init("early_stopping_since", .integer(since)),
      .init("early_stopping_metric", .text(metric.rawValue)),
    ]
  }

  /// Goes on from what a checkpoint kept; another metric's figures mean nothing.
  mutating func resume(_ details: JSON) {
    guard details["early_stopping_metric"]?.textValue == metric.rawValue else { return }
    best = details["early_stopping_best"]?.doubleValue
    since = max(0, details["early_stopping_since"]?.integerValue ?? 0)
  }
}
