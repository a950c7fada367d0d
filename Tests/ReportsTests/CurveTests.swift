import Testing

@testable import Reports

@Suite struct CurveTests {
  /// A slow wave with single spikes.
  private func wave(_ count: Int, spikes: [Int: Double]) -> Curve {
    Curve(
      x: (0..<count).map { Double($0 + 1) },
      y: (0..<count).map { spikes[$0] ?? Double(($0 * 37) % 100) / 100 })
  }

  @Test func thinningKeepsEndsAndExtremesAndTheOrder() {
    let curve = wave(20_000, spikes: [7: -5, 9_999: 9, 19_990: 4])
    let thin = curve.thinned(to: 1000)
    #expect(thin.points.count <= 1000 && thin.points.count > 800)
    #expect(thin.points.first == curve.points.first && thin.points.last == curve.points.last)
    for (place, value) in [(8.0, -5.0), (10_000, 9), (19_991, 4)] {
      #expect(thin.points.contains { $0.x == place && $0.y == value })
    }
    #expect(zip(thin.points, thin.points.dropFirst()).allSatisfy { $0.x < $1.x })
    #expect(thin.points.allSatisfy { curve.points.contains($0) })
    #expect(wave(1000, spikes: [:]).thinned(to: 1000).points.count == 1000)
  }

  @Test func gapsStayGaps() {
    var curve = wave(5000, spikes: [100: .nan, 200: .infinity])
    #expect(curve.points[100].y == nil && curve.points[200].y == nil)
    for index in 2000..<3000 { curve.points[index].y = nil }
    let thin = curve.thinned(to: 100)
    #expect(thin.points.contains { $0.y == nil && (2001...3000).contains($0.x) })
    #expect(thin.points.allSatisfy { $0.y?.isFinite ?? true })
    let none = Curve(x: [1, 2, 3], y: [nil, nil, nil])
    #expect(none.thinned().values.isEmpty && none.smoothed(window: 3).values.isEmpty)
  }

  @Test func smoothingIsTheMeanOfTheWindow() {
    let curve = Curve(x: [1, 2, 3, 4, 5], y: [1, 2, 6, nil, 8])
    let smooth = curve.smoothed(window: 3)
    #expect(smooth.points.map(\.y) == [1.5, 3, 4, nil, 8])
    #expect(smooth.points.map(\.x) == curve.points.map(\.x))
    #expect(curve.smoothed(window: 1) == curve)
    #expect(curve.smoothingWindow == 1 && wave(3000, spikes: [:]).smoothingWindow == 61)
  }

  @Test func anEvenSampleTakesEveryGroup() {
    // 900 of one group, 90 of another, 10 of a third, in blocks.
    let group: (Int) -> Int = { $0 < 900 ? 0 : $0 < 990 ? 1 : 2 }
    let chosen = EvenSample.choose(Array(0..<1000), limit: 100, least: 20, group: group)
    var counts: [Int: Int] = [:]
    for sample in chosen { counts[group(sample), default: 0] += 1 }
    #expect(counts == [0: 90, 1: 20, 2: 10])
    #expect(zip(chosen, chosen.dropFirst()).allSatisfy { $0 < $1 })
    let gaps = zip(chosen.prefix(90), chosen.prefix(90).dropFirst()).map { $1 - $0 }
    #expect(gaps.allSatisfy { $0 == 10 })
    #expect(EvenSample.choose([3, 5, 9], limit: 3) { $0 } == [3, 5, 9])
  }
}
