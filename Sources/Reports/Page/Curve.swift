import Foundation

/// A measured curve: values at ascending places, with gaps where there is no number.
public struct Curve: Sendable, Equatable {
  public struct Point: Sendable, Equatable {
    public var x: Double
    /// nil where nothing was measured, or what was is not a number.
    public var y: Double?

    public init(x: Double, y: Double?) {
      self.x = x
      self.y = y.flatMap { $0.isFinite ? $0 : nil }
    }
  }

  public var points: [Point]

  public init(_ points: [Point]) { self.points = points }

  public init(x: [Double], y: [Double?]) {
    points = zip(x, y).map { Point(x: $0, y: $1) }
  }

  /// What was measured.
  public var values: [Double] { points.compactMap(\.y) }

  /// At most about `limit` points: of each of so many equal parts the lowest and the highest value,
  /// so that no spike is lost, and a gap where a part has no value at all.
  public func thinned(to limit: Int = 1000) -> Curve {
    precondition(limit >= 4, "a curve keeps at least 4 points, got \(limit)")
    guard points.count > limit else { return self }
    // The ends stay, each other part gives two.
    let parts = (limit - 2) / 2
    let inner = points.dropFirst().dropLast()
    var kept = [points[0]]
    for part in 0..<parts {
      let from = inner.startIndex + part * inner.count / parts
      let to = inner.startIndex + (part + 1) * inner.count / parts
      guard from < to else { continue }
      var (low, high): (Int?, Int?) = (nil, nil)
      for index in from..<to {
        guard let y = points[index].y else { continue }
        if low.map({ y < points[$0].y! }) ?? true { low = index }
        if high.map({ y > points[$0].y! }) ?? true { high = index }
      }
      guard let low, let high else {
        kept.append(points[from])
        continue
      }
      kept.append(points[min(low, high)])
      if low != high { kept.append(points[max(low, high)]) }
    }
    kept.append(points[points.count - 1])
    return Curve(kept)
  }

  /// The mean over a window around each point, of which as much counts as there is at the ends. Gaps
  /// are left out of the mean and stay gaps.
  public func smoothed(window: Int) -> Curve {
    precondition(window >= 1, "a window has at least one point, got \(window)")
    var sums = [0.0]
    var counts = [0]
    for point in points {
      sums.append(sums[sums.count - 1] + (point.y ?? 0))
      counts.append(counts[counts.count - 1] + (point.y == nil ? 0 : 1))
    }
    let reach = window / 2
    return Curve(
      points.indices.map { index in
        guard points[index].y != nil else { return points[index] }
        let (from, to) = (max(0, index - reach), min(points.count, index + reach + 1))
        let count = counts[to] - counts[from]
        return Point(x: points[index].x, y: (sums[to] - sums[from]) / Double(count))
      })
  }

  /// A window for ``smoothed(window:)`` of about a fiftieth of the curve; 1 where it is too short to
  /// need any.
  public var smoothingWindow: Int { points.count < 20 ? 1 : max(5, points.count / 50) | 1 }
}
