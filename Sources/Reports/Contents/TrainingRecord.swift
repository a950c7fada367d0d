import Foundation
import Foundations

/// What `metrics.jsonl` tells of a training, as curves.
public struct TrainingRecord: Sendable, Equatable {
  /// Of every training step that was recorded, in the file's order.
  public private(set) var steps: [Double] = []
  /// The global mean cross-entropy before flooding; nil where it is not a number.
  public private(set) var losses: [Double?] = []
  public private(set) var learningRates: [Double?] = []
  public private(set) var imagesPerSecond: [Double?] = []
  public private(set) var lastEpoch: Int?
  /// The evaluations on validation data.
  public private(set) var validations: [Validation] = []

  /// One evaluation on validation data.
  public struct Validation: Sendable, Equatable {
    public var step: Double
    /// By name, without `validation_`: `auc`, `loss`, `tpr_at_fpr_1e-2`.
    public var figures: [String: Double]
  }

  public init() {}

  /// Takes the next line of the file; one that is of no known kind is passed over.
  public mutating func add(_ line: JSON) {
    guard let step = line["step"]?.doubleValue else { return }
    if let members = line.members, members.contains(where: { $0.name == "loss" }) {
      steps.append(step)
      losses.append(finite(line["loss"]))
      learningRates.append(finite(line["learning_rate"]))
      imagesPerSecond.append(finite(line["images_per_second"]))
      lastEpoch = line["epoch"]?.integerValue ?? lastEpoch
    }
    var figures: [String: Double] = [:]
    for member in line.members ?? [] where member.name.hasPrefix("validation_") {
      figures[String(member.name.dropFirst("validation_".count))] = finite(member.value)
    }
    if !figures.isEmpty { validations.append(Validation(step: step, figures: figures)) }
  }

  private func finite(_ value: JSON?) -> Double? {
    value?.doubleValue.flatMap { $0.isFinite ? $0 : nil }
  }

  public var lossCurve: Curve { Curve(x: steps, y: losses) }
  public var learningRateCurve: Curve { Curve(x: steps, y: learningRates) }
  public var throughputCurve: Curve { Curve(x: steps, y: imagesPerSecond) }

  /// One figure over the evaluations.
  public func validationCurve(_ name: String) -> Curve {
    Curve(validations.map { .init(x: $0.step, y: $0.figures[name]) })
  }

  /// Steps whose loss is not a number.
  public var stepsWithoutLoss: Int { losses.count { $0 == nil } }

  /// The middle one of the rates in the later half, when caches are warm.
  public var typicalImagesPerSecond: Double? {
    let rates = imagesPerSecond.dropFirst(imagesPerSecond.count / 2).compactMap { $0 }.sorted()
    return rates.isEmpty ? nil : rates[rates.count / 2]
  }
}
