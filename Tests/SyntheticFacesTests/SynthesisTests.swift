import Foundation
import Tensors
import Testing

@testable import FaceShards
@testable import SyntheticFaces

/// A picture of every kind: for each identity a real one and one by each method.
private func everyKind(_ identity: Int) -> [(number: Int, method: ForgeryMethod?)] {
  [(identity * 100, nil)]
    + ForgeryMethod.allCases.enumerated().map { (identity * 100 + 1 + $0.offset, $0.element) }
}

@Suite struct SynthesisTests {
  @Test func aPictureDependsOnSeedAndNumberOnly() {
    let first = FaceSynthesizer(seed: 3, size: 64)
    let again = FaceSynthesizer(seed: 3, size: 64)
    let other = FaceSynthesizer(seed: 4, size: 64)
    for (number, method) in everyKind(2) {
      let a = first.picture(number: number, identity: 2, method: method)
      let b = again.picture(number: number, identity: 2, method: method)
      #expect(a.image == b.image && a.mask == b.mask)
      #expect(a.image != other.picture(number: number, identity: 2, method: method).image)
      #expect(a.image != first.picture(number: number + 50, identity: 2, method: method).image)
    }
  }

  @Test func masksCoverExactlyWhatWasForged() throws {
    let synthesizer = FaceSynthesizer(seed: 11, size: 128)
    for identity in 0..<4 {
      for (number, method) in everyKind(identity) {
        let stages = synthesizer.stages(number: number, identity: identity, method: method)
        let mask = synthesizer.picture(number: number, identity: identity, method: method).mask
        guard let method else {
          #expect(stages.forgery == nil && mask.allSatisfy { $0 == 0 })
          continue
        }
        let forged = try #require(stages.forgery)
        var inside = 0
        var changedInside = 0
        var changedOutside = 0
        for i in mask.indices {
          let changed = forged.image.pixels[i] != stages.captured.pixels[i]
          if mask[i] == 255 {
            inside += 1
            changedInside += changed ? 1 : 0
          } else {
            #expect(mask[i] == 0)
            changedOutside += changed ? 1 : 0
          }
        }
        let share = Double(inside) / Double(mask.count)
        #expect(changedOutside == 0, "\(method) changed pixels outside its mask")
        #expect(Double(changedInside) > 0.97 * Double(inside), "\(method) left its mask unchanged")
        #expect(
          method == .upsampled ? share == 1 : share > 0.015 && share < 0.5,
          "\(method) covers \(share) of the picture")
      }
    }
  }

  @Test func localMethodsForgeTheirOwnPartsOfTheFace() throws {
    let synthesizer = FaceSynthesizer(seed: 5, size: 128)
    let model = FaceModel(seed: 5, identity: 1)
    for (number, method) in everyKind(1) {
      guard let method, method != .upsampled else { continue }
      let scene = FaceScene(seed: 5, picture: number)
      let face = FaceRenderer(model: model, scene: scene, size: 128).render()
      let forged = try #require(
        synthesizer.stages(number: number, identity: 1, method: method).forgery)
      for i in forged.weights.indices where forged.weights[i] > 0 {
        let u = face.u[i]
        let v = face.v[i]
        #expect(face.skin[i] > 0)
        switch method {
        case .faceSwap: #expect(abs(u) < 0.72 && v > -0.62 && v < 1)
        case .mouthReenactment: #expect(v > model.mouthY - 0.32 && abs(u) < 0.52)
        case .eyeRetouch: #expect(abs(v - model.eyeY) < 0.21 && abs(u) < 0.6)
        case .skinSmoothing: #expect(v < 0.55 && (v < model.eyeY - 0.1 || abs(u) > 0.1))
        case .upsampled: break
        }
      }
    }
  }

  @Test(arguments: [2, 3]) func furtherTracesAreElsewhereAndMarked(traces: Int) throws {
    let usual = FaceSynthesizer(seed: 11, size: 96)
    let harder = FaceSynthesizer(
      seed: 11, size: 96, difficulty: SynthesisDifficulty(traces: traces))
    for (number, method) in everyKind(3) {
      let own = usual.stages(number: number, identity: 3, method: method)
      let all = harder.stages(number: number, identity: 3, method: method)
      #expect(own.captured.pixels == all.captured.pixels)
      guard method != nil else {
        #expect(all.forgery == nil)
        continue
      }
      let (first, both) = (try #require(own.forgery), try #require(all.forgery))
      for i in both.weights.indices {
        #expect(both.weights[i] >= first.weights[i])
        // What no further method has touched is the method's own.
        if both.weights[i] == 0 { #expect(both.image.pixels[i] == all.captured.pixels[i]) }
      }
      let changed = zip(both.image.pixels, first.image.pixels).count { $0 != $1 }
      #expect(Double(changed) > 0.01 * Double(both.weights.count))
    }
    let methods = ForgeryMethod.allCases.map { method in
      harder.difficulty.methods(
        of: method, CounterGenerator(seed: 1, epoch: 2, sample: 3, purpose: .synthesis))
    }
    for (method, all) in zip(ForgeryMethod.allCases, methods) {
      #expect(all.count == traces && all.first == method && Set(all).count == traces)
    }
  }

  @Test func halfTheStrengthIsHalfTheChange() throws {
    let usual = FaceSynthesizer(seed: 12, size: 64)
    let fainter = FaceSynthesizer(
      seed: 12, size: 64, difficulty: SynthesisDifficulty(strength: 0.5))
    for (number, method) in everyKind(1) where method != nil {
      let full = usual.stages(number: number, identity: 1, method: method)
      let half = fainter.stages(number: number, identity: 1, method: method)
      let (a, b) = (try #require(full.forgery), try #require(half.forgery))
      #expect(a.weights == b.weights)
      for i in a.weights.indices {
        let expected = (full.captured.pixels[i] + a.image.pixels[i]) * 0.5
        let error = b.image.pixels[i] - expected
        #expect((error * error).sum() < 1e-4)
      }
    }
  }

  @Test func moreVariationTurnsHeadsFurtherAndCompressesMore() {
    let numbers = 0..<300
    for number in numbers {
      let (usual, wide) = (
        FaceScene(seed: 5, picture: number), FaceScene(seed: 5, picture: number, variation: 2)
      )
      #expect(abs(wide.yaw - 2 * usual.yaw) < 1e-6 && abs(wide.pitch - 2 * usual.pitch) < 1e-6)
    }
    func qualities(_ variation: Float) -> [Int] {
      numbers.map { Distribution(seed: 5, picture: $0, variation: variation).quality }
    }
    #expect(qualities(1).allSatisfy { (90...98).contains($0) })
    #expect(qualities(2).allSatisfy { (75...98).contains($0) } && qualities(2).min()! < 80)
    #expect(qualities(3).allSatisfy { (60...98).contains($0) } && qualities(3).min()! < 65)
  }

  @Test func simpleStatisticsHardlyTellRealFromForged() {
    // Each statistic alone, its AUC in the better direction; by chance alone a few hundredths above
    // one half with this many pictures.
    let synthesizer = FaceSynthesizer(seed: 21, size: 64)
    let identities = 24
    let each = ForgeryMethod.allCases.count
    var real: [[Double]] = []
    var fake: [[Double]] = []
    for identity in 0..<identities {
      for k in 0..<each {
        let number = 2 * (identity * each + k)
        real.append(
          statistics(
            synthesizer.picture(number: number, identity: identity, method: nil).image, side: 64))
        fake.append(
          statistics(
            synthesizer.picture(
              number: number + 1, identity: identity, method: ForgeryMethod.allCases[k]
            ).image, side: 64))
      }
    }
    for index in real[0].indices {
      let auc = areaUnderCurve(real.map { $0[index] }, fake.map { $0[index] })
      #expect(max(auc, 1 - auc) <= 0.65, "statistic \(index) tells them apart with AUC \(auc)")
    }
  }

  /// Channel means and variances, skewness and kurtosis of brightness, energy of its differences.
  private func statistics(_ image: [UInt8], side: Int) -> [Double] {
    var result: [Double] = []
    let count = Double(side * side)
    for channel in 0..<3 {
      var sum = 0.0
      var squares = 0.0
      for i in 0..<(side * side) {
        let value = Double(image[3 * i + channel])
        sum += value
        squares += value * value
      }
      result += [sum / count, squares / count - (sum / count) * (sum / count)]
    }
    let grey = (0..<(side * side)).map { i in
      Double(Int(image[3 * i]) + Int(image[3 * i + 1]) + Int(image[3 * i + 2])) / 3
    }
    let mean = grey.reduce(0, +) / count
    let deviation = (grey.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
    for power in [3.0, 4.0] {
      result.append(grey.reduce(0) { $0 + pow(($1 - mean) / deviation, power) } / count)
    }
    var horizontal = 0.0
    var vertical = 0.0
    var curvature = 0.0
    for y in 1..<(side - 1) {
      for x in 1..<(side - 1) {
        let i = y * side + x
        horizontal += pow(grey[i + 1] - grey[i], 2)
        vertical += pow(grey[i + side] - grey[i], 2)
        curvature += pow(
          4 * grey[i] - grey[i - 1] - grey[i + 1] - grey[i - side] - grey[i + side], 2)
      }
    }
    return result + [horizontal, vertical, curvature]
  }

  private func areaUnderCurve(_ negatives: [Double], _ positives: [Double]) -> Double {
    var wins = 0.0
    for p in positives {
      for n in negatives { wins += p > n ? 1 : p == n ? 0.5 : 0 }
    }
    return wins / Double(positives.count * negatives.count)
  }

  @Test func splitsShareNoSourceAndBalanceMethods() {
    for perClass in [15, 16, 97, 500, 2000] {
      let plan = SynthesisPlan(imagesPerClass: perClass, imagesPerShard: 64)
      var seen = Set<String>()
      var numbers = Set<Int>()
      for name in SynthesisPlan.splitNames {
        let pictures = plan.shards.filter { $0.fileName.hasPrefix(name + "-") }.flatMap(\.pictures)
        let sources = Set(pictures.map(\.source))
        #expect(seen.isDisjoint(with: sources))
        seen.formUnion(sources)
        let counts = Dictionary(grouping: pictures, by: \.method).mapValues(\.count)
        #expect(counts[nil, default: 0] * 2 == pictures.count)
        let forged = ForgeryMethod.allCases.map { counts[$0, default: 0] }
        #expect(forged.min()! > 0)
        #expect(forged.max()! - forged.min()! <= 1)
        numbers.formUnion(pictures.map(\.number))
      }
      #expect(numbers.count == 2 * perClass && plan.count == 2 * perClass)
      #expect(plan.shards.allSatisfy { $0.pictures.count <= 64 })
    }
  }

  @Test(arguments: [1, 2, 3, 7]) func everyShardFallsToOnePart(parts: Int) {
    let plan = SynthesisPlan(imagesPerClass: 400, imagesPerShard: 100)
    let names = (0..<parts).flatMap { plan.shards(part: $0, of: parts).map(\.fileName) }
    #expect(names.count == plan.shards.count)
    #expect(Set(names) == Set(plan.shards.map(\.fileName)))
  }

  @Test func partsAndThreadsDoNotChangeTheShards() throws {
    let plan = SynthesisPlan(imagesPerClass: 15, imagesPerShard: 8)
    let synthesizer = FaceSynthesizer(seed: 9, size: 64)
    let alone = try temporaryFolder()
    let shared = try temporaryFolder()
    defer {
      try? FileManager.default.removeItem(atPath: alone)
      try? FileManager.default.removeItem(atPath: shared)
    }
    let first = ShardSynthesis(output: alone, plan: plan, synthesizer: synthesizer)
    let place = try first.prepare(overwrite: false)
    var told: [Int] = []
    try first.write(part: 0, of: 1, threads: 1) { done, total in
      told.append(done)
      #expect(total == 30)
    }
    #expect(told.last == 30)
    #expect(try visible(alone).isEmpty, "shards appear before the data set is whole")
    try first.publish(into: place)

    let second = ShardSynthesis(output: shared, plan: plan, synthesizer: synthesizer)
    let other = try second.prepare(overwrite: false)
    for part in 0..<2 { try second.write(part: part, of: 2, threads: 3) { _, _ in } }
    try second.publish(into: other)

    let names = try visible(alone)
    #expect(names == plan.shards.map(\.fileName).sorted())
    #expect(try visible(shared) == names)
    for planned in plan.shards {
      let bytes = try [alone, shared].map {
        try Data(contentsOf: URL(fileURLWithPath: $0 + "/" + planned.fileName))
      }
      #expect(bytes[0] == bytes[1])
      let a = try Shard(reading: alone + "/" + planned.fileName)
      let b = try Shard(reading: shared + "/" + planned.fileName)
      #expect(a.count == planned.pictures.count && b.count == a.count)
      #expect(a.methodNames == ["real"] + ForgeryMethod.allCases.map(\.rawValue))
      #expect(try a.readSources() == planned.pictures.map(\.source))
      #expect(Array(a.methods) == Array(b.methods))
      for (row, picture) in planned.pictures.enumerated() {
        let made = synthesizer.picture(
          number: picture.number, identity: picture.identity, method: picture.method)
        for shard in [a, b] {
          var image = [UInt8](repeating: 0, count: 64 * 64 * 3)
          try image.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
          var mask = [UInt8](repeating: 1, count: 64 * 64)
          try mask.withUnsafeMutableBufferPointer { try shard.readMask(row, into: $0) }
          #expect(image == made.image && mask == made.mask)
          #expect(shard.methodNames[Int(shard.methods[row])] == picture.method?.rawValue ?? "real")
        }
      }
    }
  }

  @Test func anEarlierDataSetIsReplacedOnlyOnRequest() throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let earlier = folder + "/train-00077.h5"
    let unrelated = folder + "/train-notes.h5"
    for path in [earlier, unrelated] { try Data("x".utf8).write(to: URL(fileURLWithPath: path)) }
    let plan = SynthesisPlan(imagesPerClass: 15, imagesPerShard: 100)
    let synthesis = ShardSynthesis(
      output: folder, plan: plan, synthesizer: FaceSynthesizer(seed: 1, size: 32))
    let refusal = #expect(throws: ShardError.self) { try synthesis.prepare(overwrite: false) }
    #expect(refusal?.description.contains("train-00077.h5") == true)
    #expect(refusal?.description.contains("--overwrite") == true)
    #expect(try visible(folder) == ["train-00077.h5", "train-notes.h5"])

    let place = try synthesis.prepare(overwrite: true)
    try synthesis.write(part: 0, of: 1, threads: 2) { _, _ in }
    #expect(FileManager.default.fileExists(atPath: earlier), "removed before the new set was whole")
    try synthesis.publish(into: place)
    #expect(
      try visible(folder)
        == ["test-00000.h5", "train-00000.h5", "train-notes.h5", "validation-00000.h5"])
  }

  @Test func anUnwritableFolderIsNamed() throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let file = folder + "/taken"
    try Data().write(to: URL(fileURLWithPath: file))
    let synthesis = ShardSynthesis(
      output: file + "/data", plan: SynthesisPlan(imagesPerClass: 15, imagesPerShard: 100),
      synthesizer: FaceSynthesizer(seed: 1, size: 32))
    let error = #expect(throws: ShardError.self) { try synthesis.prepare(overwrite: false) }
    #expect(error?.isInputOutput == true)
    #expect(error?.description.contains(file) == true)
  }

  @Test func compressionAtFullQualityKeepsThePictureAndLowQualityDoesNot() {
    var picture = Canvas(width: 24, height: 24)
    for i in picture.pixels.indices {
      picture.pixels[i] = SIMD4(
        Float(i * 7 % 256), Float(i * 5 % 199), Float(i % 24 * 10), 0)
    }
    func loss(_ quality: Int) -> Float {
      let out = BlockCompression(quality: quality, subsampled: false).applied(to: picture)
      var sum: Float = 0
      for i in out.pixels.indices {
        let d = out.pixels[i] - picture.pixels[i]
        sum += (d * d).sum()
      }
      return sum / Float(out.pixels.count * 3)
    }
    #expect(loss(100) < 1.5)
    #expect(loss(50) > 20)
    let flat = Canvas(width: 17, height: 9, fill: SIMD4(120, 120, 120, 0))
    let kept = BlockCompression(quality: 30, subsampled: true, gridX: 3, gridY: 5).applied(to: flat)
    #expect(kept.pixels.allSatisfy { abs($0.x - 120) <= 4 && $0.x == $0.y && $0.y == $0.z })
  }

  private func temporaryFolder() throws -> String {
    let path = NSTemporaryDirectory() + "rfm-synthesis-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  private func visible(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }
      .sorted()
  }
}
