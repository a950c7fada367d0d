import Testing

@testable import Reports

@Suite struct AxisTests {
  private func labels(_ axis: Axis) -> [String] { axis.ticks.map(\.label) }

  @Test func ticksAreRoundNumbersThatCoverTheValues() {
    let axis = Axis.linear(over: [0.13, 0.87])
    #expect(
      labels(axis) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"].map { $0 == "0.0" ? "0" : $0 })
    #expect(axis.range == 0...1)
    #expect(axis.position(0) == 0 && axis.position(1) == 1 && axis.position(0.25) == 0.25)
    #expect(
      labels(.linear(over: [0, 1000, 3000], atMost: 4, isTight: true))
        == ["0", "1,000", "2,000", "3,000"])
    #expect(labels(.linear(over: [0, 500_000])) == ["0", "100k", "200k", "300k", "400k", "500k"])
    #expect(
      labels(.linear(over: [0, 0.0002])) == ["0", "0.00005", "0.00010", "0.00015", "0.00020"])
    #expect(labels(.linear(over: [-1, 1])) == ["-1.0", "-0.5", "0", "0.5", "1.0"])
  }

  @Test func aTightAxisEndsAtTheValuesAndItsTicksLieInside() {
    let axis = Axis.linear(over: [1, 2987], isTight: true, whole: true)
    #expect(axis.range == 1...2987)
    #expect(axis.ticks.allSatisfy { axis.range.contains($0.value) } && axis.ticks.count >= 3)
  }

  @Test func anyValuesGiveAnAxis() {
    let cases: [[Double]] = [
      [], [.nan, .infinity], [5], [0], [-3, -3], [1e-12, 2e-12], [1e300, -1e300], [7, 7 + 1e-14],
      [1e15, 1e15 + 1], [0, 1e12], [.greatestFiniteMagnitude, -.greatestFiniteMagnitude],
    ]
    for values in cases {
      for (zero, tight, whole) in [
        (false, false, false), (true, false, false), (false, true, true),
      ] {
        let axis = Axis.linear(
          over: values, includingZero: zero, isTight: tight, whole: whole)
        #expect(axis.range.lowerBound < axis.range.upperBound, "\(values)")
        #expect(axis.ticks.count <= 8, "\(values) \(axis.ticks)")
        #expect(axis.ticks.allSatisfy { axis.range.contains($0.value) }, "\(values)")
        let steps = axis.ticks.map(\.value)
        #expect(zip(steps, steps.dropFirst()).allSatisfy { $0 < $1 }, "\(values)")
      }
    }
  }

  @Test func wholeTicksAreWhole() {
    for high in 1...40 {
      let axis = Axis.linear(over: [1, Double(high)], isTight: true, whole: true)
      #expect(axis.ticks.allSatisfy { $0.value == $0.value.rounded() }, "\(high)")
      #expect(!axis.ticks.isEmpty, "\(high)")
    }
  }

  @Test func decadesAreEvenlySpacedOnALogarithmicAxis() {
    let axis = Axis.decades(from: -4, to: 0)
    #expect(labels(axis) == ["1e-4", "0.001", "0.01", "0.1", "1"])
    for (index, tick) in axis.ticks.enumerated() {
      #expect(abs(axis.position(tick.value) - Double(index) / 4) < 1e-12)
    }
    #expect(abs(axis.position(0.03) - 0.6192803136799156) < 1e-12)
    #expect(axis.position(0) == -.infinity)
  }
}
