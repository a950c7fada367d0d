/// How erasing grows in the first updates of a training: how often, and how much of an image at most.
///
/// A detector that has learnt nothing yet has nothing to look away from, and learns later the more is
/// taken from it. With W updates of a ramp, update s, counted from 1, has the share min(1, s / W).
public struct ErasingRamp: Sendable, Equatable {
  /// Updates over which the probability rises from near 0; 0: it is the same from the first on.
  public var probability = 0
  /// Updates over which what is erased of an image grows likewise.
  public var extent = 0

  public init(probability: Int = 0, extent: Int = 0) {
    precondition(probability >= 0 && extent >= 0, "a ramp has 0 updates or more")
    self.probability = probability
    self.extent = extent
  }

  /// What the probability is multiplied by at an update, from 1; within 0…1.
  public func probabilityShare(at update: Int) -> Double { Self.share(update, of: probability) }

  /// ``ErasedImage/extent`` at an update, from 1; within 0…1.
  public func extent(at update: Int) -> Double { Self.share(update, of: extent) }

  private static func share(_ update: Int, of updates: Int) -> Double {
    update >= updates ? 1 : Double(max(update, 0)) / Double(updates)
  }
}
