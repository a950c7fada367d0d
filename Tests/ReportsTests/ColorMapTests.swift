import Testing

@testable import Reports

@Suite struct ColorMapTests {
  private func uniform(_ color: SIMD3<UInt8>) -> SIMD3<Double> {
    PerceptualColor.uniform(SIMD3(Double(color.x), Double(color.y), Double(color.z)) / 255)
  }

  private func distance(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> Double {
    ((a - b) * (a - b)).sum().squareRoot()
  }

  @Test func equalStepsLookEquallyLarge() {
    for map in ColorMap.all {
      #expect(map.colors.count == 256)
      // Over sixteen colours, so that rounding to 8 bits matters less.
      let steps = stride(from: 0, through: 239, by: 16).map {
        distance(uniform(map.colors[$0]), uniform(map.colors[$0 + 16]))
      }
      let mean = steps.reduce(0, +) / Double(steps.count)
      for step in steps { #expect(abs(step / mean - 1) < 0.12, "\(map.name)") }
    }
  }

  @Test func sequentialMapsGrowSteadilyLighter() {
    for map in [ColorMap.ember, .lagoon] {
      let lightness = stride(from: 0, through: 255, by: 5).map { uniform(map.colors[$0]).x }
      for (lower, upper) in zip(lightness, lightness.dropFirst()) { #expect(upper > lower + 0.5) }
      #expect(lightness.last! - lightness.first! > 70)
    }
  }

  @Test func theDivergingMapIsNeutralInTheMiddleAndAsDarkAtBothEnds() {
    let colors = ColorMap.balance.colors.map(uniform)
    let middle = colors[127]
    #expect(distance(middle, colors[128]) < 0.5)
    #expect(middle.x > 90 && abs(middle.y) < 5 && abs(middle.z) < 5)
    #expect(abs(colors[0].x - colors[255].x) < 6)
    #expect(colors[0].x < 40)
  }

  @Test func valuesOutsideGetTheEndsAndNoNumberGetsGrey() {
    let map = ColorMap.ember
    #expect(map[-3] == map.colors[0] && map[.infinity] == map.colors[255])
    #expect(map[0.5] == map.colors[128])
    #expect(map[.nan] == SIMD3(128, 128, 128))
    #expect(ColorMap.all.allSatisfy { !$0.colors.contains(SIMD3(128, 128, 128)) })
    #expect(map.css(0) == "#04030A" && map.css(1) == "#FDFBD4")
  }

  @Test func theMeasureHoldsWhatIsKnownOfIt() {
    let white = PerceptualColor.uniform(SIMD3(1, 1, 1))
    #expect(abs(white.x - 100) < 1e-3 && abs(white.y) < 2 && abs(white.z) < 2)
    #expect(PerceptualColor.uniform(SIMD3(0, 0, 0)).x < 1e-3)
  }
}
