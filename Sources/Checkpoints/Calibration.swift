import Foundations
import Networks

/// What makes probabilities of a detector's logits that one can believe: a temperature, and which errors
/// are made at which threshold, as validation images say it.
///
/// The probability of fake is 1 / (1 + e^(−(z_fake − z_real) / temperature)) (Guo et al., "On calibration of
/// modern neural networks", ICML 2017).
public struct Calibration: Equatable, Sendable {
  /// Above 0.
  public var temperature: Double
  /// Validation images of each class; 0 where that is not known.
  public var real: Int
  public var fake: Int
  /// Mean cross-entropy of them without temperature, and with it.
  public var lossBefore: Double
  public var lossAfter: Double
  /// Patterns of their shards.
  public var data: [String]
  /// From the highest threshold to the lowest.
  public var points: [OperatingPoint]

  /// What a threshold does to the validation images.
  public struct OperatingPoint: Equatable, Sendable {
    /// Of z_fake − z_real: images that reach it are called fake.
    public var threshold: Double
    /// Share of the real images that are called fake, and of the fakes that are called real.
    public var falseAlarmRate: Double
    public var missRate: Double

    public init(threshold: Double, falseAlarmRate: Double, missRate: Double) {
      self.threshold = threshold
      self.falseAlarmRate = falseAlarmRate
      self.missRate = missRate
    }
  }

  public init(
    temperature: Double, real: Int = 0, fake: Int = 0, lossBefore: Double = 0,
    lossAfter: Double = 0, data: [String] = [], points: [OperatingPoint] = []
  ) {
    self.temperature = temperature
    self.real = real
    self.fake = fake
    self.lossBefore = lossBefore
    self.lossAfter = lossAfter
    self.data = data
    self.points = points
  }

  static func isPossible(_ temperature: Double) -> Bool {
    temperature.isFinite && temperature > 0
  }

  // MARK: Thresholds

  /// Error rates that these validation images can't speak for.
  public enum UnknownRate: ReportableError, Equatable {
    case notMeasured
    case tooFew(rate: Double, isFake: Bool, images: Int)

    public var description: String {
      switch self {
      case .notMeasured:
        "nothing says at which threshold this detector makes how many errors: calibrate it on validation "
          + "images (rfm calibrate)"
      case .tooFew(let rate, let isFake, let images):
        "a rate of \(rate) can't be told of the \(images) \(isFake ? "fake" : "real") images that this "
          + "detector was calibrated with, of which it is less than one: calibrate it on more of them "
          + "(rfm calibrate), or allow a higher rate"
      }
    }
    public var exitStatus: ExitStatus { .badData }
  }

  /// Probabilities from which on an image is called fake, and below which it is called real. Between them
  /// one of the two errors would be more frequent than allowed.
  ///
  /// - Parameters:
  ///   - falseAlarmRate: the most real images that may be called fake, as a share; of validation images.
  ///   - missRate: the most fakes that may be called real, likewise.
  /// - Returns: `real` ≤ `fake`; equal where one threshold keeps both rates.
  public func thresholds(
    falseAlarmRate: Double, missRate: Double
  ) throws(UnknownRate) -> (real: Double, fake: Double) {
    guard !points.isEmpty else { throw .notMeasured }
    // Rates are shares of whole images, to rounding.
    let slack = 1e-9
    guard falseAlarmRate * Double(real) >= 1 - slack else {
      throw .tooFew(rate: falseAlarmRate, isFake: false, images: real)
    }
    guard missRate * Double(fake) >= 1 - slack else {
      throw .tooFew(rate: missRate, isFake: true, images: fake)
    }
    // The lowest that calls few enough reals fake, and the highest below which few enough fakes lie.
    let alarmed = points.last { $0.falseAlarmRate <= falseAlarmRate + slack }
    let missed = points.first { $0.missRate <= missRate + slack }
    let (fakeFrom, realBelow) = (alarmed?.threshold ?? .infinity, missed?.threshold ?? -.infinity)
    return (
      probability(ofDifference: min(realBelow, fakeFrom)), probability(ofDifference: fakeFrom)
    )
  }

  private func probability(ofDifference difference: Double) -> Double {
    CrossEntropy.probabilityOfFake(real: 0, fake: difference, temperature: temperature)
  }

  // MARK: JSON

  var json: JSON {
    func list(_ value: (OperatingPoint) -> Double) -> JSON {
      .array(points.map { .number(value($0)) })
    }
    return [
      "temperature": .number(temperature), "real": .integer(real), "fake": .integer(fake),
      "uncalibrated_loss": .number(lossBefore), "loss": .number(lossAfter),
      "data": .array(data.map { .text($0) }), "thresholds": list(\.threshold),
      "false_alarm_rates": list(\.falseAlarmRate), "miss_rates": list(\.missRate),
    ]
  }

  /// Nil if it is none.
  init?(_ json: JSON) {
    func list(_ name: String) -> [Double] {
      (json[name]?.arrayValue ?? []).compactMap(\.doubleValue)
    }
    guard let temperature = json["temperature"]?.doubleValue, Self.isPossible(temperature),
      let real = json["real"]?.integerValue, let fake = json["fake"]?.integerValue,
      let before = json["uncalibrated_loss"]?.doubleValue, let after = json["loss"]?.doubleValue,
      let data = json["data"]?.arrayValue
    else { return nil }
    let (thresholds, alarms, misses) = (
      list("thresholds"), list("false_alarm_rates"), list("miss_rates")
    )
    guard thresholds.count == alarms.count, thresholds.count == misses.count else { return nil }
    self.init(
      temperature: temperature, real: real, fake: fake, lossBefore: before, lossAfter: after,
      data: data.compactMap(\.textValue),
      points: thresholds.indices.map {
        OperatingPoint(
          threshold: thresholds[$0], falseAlarmRate: alarms[$0], missRate: misses[$0])
      })
  }
}
