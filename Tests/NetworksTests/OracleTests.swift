import Testing

/// The oracle itself: what Swift derives must be what Python derived, bit for bit.
@Suite struct OracleTests {
  @Test func philoxGivesRandom123sKnownAnswers() {
    #expect(
      Oracle.philox(SIMD4(repeating: 0), key: SIMD2(repeating: 0))
        == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    #expect(
      Oracle.philox(SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
  }

  @Test(arguments: ["xception-tiny", "xception"])
  func weightsAreBitwisePythons(model: String) throws {
    let model = try OracleModel(model)
    let weights = model.weights()
    for (name, shape) in model.shapes {
      #expect(weights[name]?.count == shape.reduce(1, *), "\(name)")
    }
    #expect(checksum(weights.sorted { $0.key < $1.key }.map(\.value)) == model.checksum)
  }

  @Test(arguments: ["xception-tiny-96", "xception-tiny-97", "xception-224"])
  func imagesAreBitwisePythons(name: String) throws {
    let golden = try OracleCase(name)
    let batch = Oracle.batch(golden.trainingImages, size: golden.crop)
    #expect(checksum([batch.images]) == golden.imagesChecksum)
    #expect(batch.labels == golden.trainingImages.map { $0 % 2 })
  }

  @Test func sketchesMeasureARelativeError() throws {
    let exact = Oracle.batch([3], size: 40).images
    let draws = Oracle.batch([4], size: 40).images
    let disturbed = zip(exact, draws).map { $0 + 0.001 * $1 }
    func norm(_ values: [Float]) -> Double {
      values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    }
    let truth = norm(zip(exact, disturbed).map { $1 - $0 }) / norm(exact)
    let sketch = exact.withUnsafeBufferPointer { Oracle.sketch($0) }
    let array = OracleArray(
      name: "test", shape: [40, 40, 3], kept: sketch.map(Float.init), isWhole: false,
      float32Error: 0)
    #expect(array.relativeError(of: exact) < 1e-6)
    #expect(array.relativeError(of: disturbed) > 0.5 * truth)
    #expect(array.relativeError(of: disturbed) < 2 * truth)
  }

  private func checksum(_ arrays: [[Float]]) -> UInt64 {
    var total: UInt64 = 0
    var place: UInt64 = 1
    for value in arrays.joined() {
      total &+= UInt64(value.bitPattern) &* place
      place += 1
    }
    return total
  }
}
