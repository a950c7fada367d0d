import Configuration
import Networks

/// Weights that have the same learning rate, as a part of the detector's arena.
struct WeightGroup: Equatable {
  let range: Range<Int>
  /// What the learning rate is multiplied by; 0: the weights stay as they are.
  let rate: Double

  /// All weights of a detector, in the order of its arena.
  static func all(of detector: Detector, _ rates: [StageRate]) -> [WeightGroup] {
    var groups: [WeightGroup] = []
    // Forward is from the arena's end to its beginning.
    var end = detector.values.count
    for rate in rates {
      let start = detector.firstElement(upTo: rate.stage)
      groups.append(WeightGroup(range: start..<end, rate: rate.rate))
      end = start
    }
    groups.append(WeightGroup(range: 0..<end, rate: 1))
    return groups.reversed()
  }
}
