import Foundation

/// What a training says of itself every few seconds: `status.json` in its folder, which `rfm status` reads.
///
/// Names in the file are those of the fields with `_` between words. Times are seconds since 1970.
public struct RunStatus: Codable, Sendable, Equatable {
  /// What the training is at, or how it ended.
  public enum State: String, Codable, Sendable {
    case training, validating, saving
    /// It has made its last step.
    case finished
    /// It was asked to stop, and saved.
    case stopped
    /// An error ended it.
    case failed

    /// Its process says that it works.
    public var isAtWork: Bool { [.training, .validating, .saving].contains(self) }
  }

  /// The rank that had most to do in its steps, whatever it waited for others.
  public struct SlowestRank: Codable, Sendable, Equatable {
    public var rank: Int
    public var host: String
    /// Mean seconds a step of each phase; `reduce` holds what it waited for others.
    public var secondsPerPhase: [String: Double]

    public init(rank: Int, host: String, secondsPerPhase: [String: Double]) {
      self.rank = rank
      self.host = host
      self.secondsPerPhase = secondsPerPhase
    }

    enum CodingKeys: String, CodingKey {
      case rank, host
      case secondsPerPhase = "seconds_per_phase"
    }

    /// Seconds of a step, without those of waiting.
    public var secondsOfWork: Double {
      secondsPerPhase.reduce(0) { $0 + ($1.key == "reduce" ? 0 : $1.value) }
    }
  }

  public var state: State
  public var updated: Double
  /// When this process began to train, and the updates made before.
  public var started: Double
  public var startedAtStep: Int
  /// Updates made.
  public var step: Int
  public var totalSteps: Int
  /// From 0.
  public var epoch: Int
  /// Of the last step; nil where it was no number.
  public var loss: Double?
  public var learningRate: Double?
  public var imagesPerSecond: Double?
  public var skippedSteps = 0
  public var ranks: Int
  public var hosts: Int
  public var bestStep: Int?
  public var bestValidationAUC: Double?
  /// nil before the first step.
  public var slowestRank: SlowestRank?

  static let fileName = "status.json"

  public init(
    state: State, updated: Double, started: Double, startedAtStep: Int, step: Int, totalSteps: Int,
    epoch: Int, ranks: Int, hosts: Int
  ) {
    self.state = state
    self.updated = updated
    self.started = started
    self.startedAtStep = startedAtStep
    self.step = step
    self.totalSteps = totalSteps
    self.epoch = epoch
    self.ranks = ranks
    self.hosts = hosts
  }

  enum CodingKeys: String, CodingKey {
    case state, updated, started, step, epoch, loss, ranks, hosts
    case startedAtStep = "started_at_step"
    case totalSteps = "total_steps"
    case learningRate = "learning_rate"
    case imagesPerSecond = "images_per_second"
    case skippedSteps = "skipped_steps"
    case bestStep = "best_step"
    case bestValidationAUC = "best_validation_auc"
    case slowestRank = "slowest_rank"
  }

  /// Seconds that the steps left will take, at the pace since this process began: validations and
  /// checkpoints included. nil before it has made a step.
  public var secondsLeft: Double? {
    guard step > startedAtStep else { return step >= totalSteps ? 0 : nil }
    return (updated - started) / Double(step - startedAtStep) * Double(max(0, totalSteps - step))
  }

  var text: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
  }
}
