import Synchronization

/// What this rank is at, so that others can be told if it does not come to a collective.
///
/// Each call is one or two stores.
public enum RankStatus {
  public enum Phase: Int, Sendable, CaseIterable {
    case starting, loading, attention, forward, backward, reducing, updating, validating, saving
    /// Of other commands than a training.
    case scoring, mapping, attributing, explaining, reporting, packing, drawing, verifying
    case ending
  }

  private static let phase = Atomic<Int>(0)
  private static let step = Atomic<Int>(0)
  private static let beats = Atomic<Int>(0)

  /// Says that a phase begins.
  public static func enter(_ phase: Phase, step: Int? = nil) {
    self.phase.store(phase.rawValue, ordering: .relaxed)
    if let step { self.step.store(step, ordering: .relaxed) }
  }

  /// Says that work goes on in a phase that may last long without a collective.
  public static func progress() { beats.wrappingAdd(1, ordering: .relaxed) }

  static var current: (phase: Int, step: Int, beats: Int) {
    (
      phase.load(ordering: .relaxed), step.load(ordering: .relaxed),
      beats.load(ordering: .relaxed)
    )
  }
}
