import Foundation

/// The ROC curve: TPR against FPR over all thresholds; see `DetectionMetrics` for the definitions.
public struct ROCCurve: Equatable, Codable, Sendable {
  /// What one threshold does.
  public struct Point: Equatable, Codable, Sendable {
    /// Images that score at least this are called fake; nil for the curve's beginning, where none is.
    public var threshold: Double?
    public var falsePositiveRate: Double
    public var truePositiveRate: Double
  }

  /// From (0, 0) to (1, 1), rising; empty if a class has no images.
  public var points: [Point]

  /// Every point of the curve: as many as there are distinct scores, and the beginning.
  public init(_ ranked: RankedScores) {
    points = []
    guard !ranked.fake.isEmpty && !ranked.real.isEmpty else { return }
    points.append(Point(threshold: nil, falsePositiveRate: 0, truePositiveRate: 0))
    ranked.forEachThreshold { threshold, fakeAbove, realAbove in
      points.append(
        Point(
          threshold: threshold,
          falsePositiveRate: Double(realAbove) / Double(ranked.real.count),
          truePositiveRate: Double(fakeAbove) / Double(ranked.fake.count)))
    }
  }

  /// The curve for drawing: points are left out that lie on the line between their neighbours, or
  /// nearer to the last one kept than a `resolution`-th of the axes, both with a linear FPR axis and
  /// with a logarithmic one of five decades.
  public func thinned(resolution: Double = 500) -> ROCCurve {
    guard points.count > 2 else { return self }
    var kept = [points[0]]
    for index in 1..<points.count - 1 {
      let (last, point, next) = (kept[kept.count - 1], points[index], points[index + 1])
      let straight =
        (point.falsePositiveRate == last.falsePositiveRate
          && point.falsePositiveRate == next.falsePositiveRate)
        || (point.truePositiveRate == last.truePositiveRate
          && point.truePositiveRate == next.truePositiveRate)
      if straight { continue }
      let decades =
        last.falsePositiveRate > 0
        ? log10(point.falsePositiveRate / last.falsePositiveRate) / 5
        : (point.falsePositiveRate > 0 ? 1 : 0)
      let step = max(
        point.falsePositiveRate - last.falsePositiveRate,
        point.truePositiveRate - last.truePositiveRate, decades)
      if step * resolution >= 1 { kept.append(point) }
    }
    kept.append(points[points.count - 1])
    var curve = self
    curve.points = kept
    return curve
  }
}
