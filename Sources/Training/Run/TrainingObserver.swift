import Checkpoints
import Configuration
import ForgeryMining
import Foundations

/// What follows a training from outside, such as a writer of TensorBoard's event files.
///
/// Rank 0 alone calls it, between steps; a training without observers does nothing for them. What an
/// observer throws ends the training as a failure to write `metrics.jsonl` would.
public protocol TrainingObserver: AnyObject {
  /// The run's folder and settings are known, and training goes on from `start`. Called once, before
  /// everything else.
  func begin(_ start: TrainingStart) throws
  /// A line has been appended to `metrics.jsonl`: of a step, or of a validation.
  func measured(_ metrics: JSON) throws
  /// A checkpoint is being saved.
  func saved(_ snapshot: TrainingSnapshot) throws
  /// The training ends, done or asked to stop.
  func finish() throws
}

/// Where a training begins, for its observers.
public struct TrainingStart: Sendable {
  /// With every value resolved.
  public let configuration: Configuration
  public let environment: RunEnvironment
  /// The run's folder.
  public let folder: String
  /// Updates made so far: 0 at the beginning, the checkpoint's number where a run is continued.
  /// Whatever an observer was told of later steps in an earlier process is void.
  public let step: Int
}

/// What is known when a checkpoint is saved, for observers.
public struct TrainingSnapshot {
  public let step: Int
  /// Of the validation images; nil where none are computed.
  public let prototypes: Prototypes?
  /// Of the training images of the epoch so far; nil where there are none.
  public let epochPrototypes: EpochPrototypes?
  /// A few validation images as the next step would treat them; computed when asked for.
  public let examples: () throws -> [TrainingExample]
}
