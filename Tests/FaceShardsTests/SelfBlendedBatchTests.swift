import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Faces
@testable import Images

/// Batches and shards with fakes that are made of real faces.
@Suite struct SelfBlendedBatchTests {
  private let folder: TemporaryFolder
  private let set: ShardSet
  private let height = 20
  private let width = 24

  init() throws {
    folder = TemporaryFolder()
    try ShardFixtures.write(
      folder("a.h5"), methods: [0, 1, 1, 0, 2, 1, 2], height: height, width: width)
    try ShardFixtures.write(
      folder("b.h5"), methods: [1, 0, 0, 1, 1, 1], names: ["real", "grid"], first: 7,
      height: height, width: width)
    set = try ShardSet(patterns: [folder("?.h5")])
  }

  private func order(_ share: Double, seed: UInt64 = 5) throws -> SampleOrder {
    try SampleOrder(
      labels: set.labels, kind: .balanced, seed: seed, selfBlended: .init(share))
  }

  private func stored(_ sample: Int) -> RGBImage {
    RGBImage(
      width: width, height: height,
      pixels: KnownImage.pixels(sample, height: height, width: width))
  }

  private func input(_ picture: RGBImage, _ draw: SampleDraw, identifier: Int) -> [Float] {
    let geometry = CropGeometry.random(
      height: height, width: width, side: 16, flips: true, seed: 5, visit: draw.visit,
      sample: identifier)
    var out = [Float](repeating: 0, count: 16 * 16 * 3)
    picture.pixels.withUnsafeBufferPointer { pixels in
      out.withUnsafeMutableBufferPointer {
        PixelNormalisation().cut(geometry, of: pixels, width: width, into: $0)
      }
    }
    return out
  }

  @Test(arguments: [0.5, 1]) func fakesAreBlendedAndAllElseIsAsItWas(share: Double) throws {
    let order = try order(share)
    let loader = try BatchLoader(
      training: set, order: order, batchSize: 6, crop: 16, position: 4, threads: 3)
    let face = FaceExtent(margin: nil, width: width, height: height)
    var (made, changed) = (0, 0)
    for step in 0..<8 {
      let batch = try #require(try loader.next())
      for i in 0..<6 {
        let draw = order.draw(at: 4 + step * 6 + i)
        let identifier = draw.sample + (draw.isSelfBlended ? 1 << 40 : 0)
        #expect(batch.identifiers[i] == identifier && batch.samples[i] == draw.sample)
        #expect(batch.warped[i] == false)
        var picture = stored(draw.sample)
        if draw.isSelfBlended {
          made += 1
          #expect(batch.labels[i] == 1 && batch.methods[i] == 3)
          picture =
            SelfBlending(seed: 5, visit: draw.visit, sample: identifier)
            .applied(to: picture, face: face).picture
        } else {
          #expect(batch.labels[i] == set.labels[draw.sample])
          #expect(batch.methods[i] == set.methods[draw.sample])
          if batch.labels[i] == 0 {
            let real = SelfBlending.real(
              picture, besides: share, seed: 5, visit: draw.visit, sample: identifier)
            changed += real == picture ? 0 : 1
            picture = real
          }
        }
        #expect(
          Array(batch.images[i * 768..<(i + 1) * 768])
            == input(picture, draw, identifier: identifier))
      }
    }
    #expect(made == (share == 1 ? 24 : 12) && changed > 0 && changed < 24)
    #expect(try set.methodNamesWithSelfBlended() == ["real", "blend", "grid", "self-blended"])
  }

  @Test(arguments: [2, 4]) func theyAreTheSameOnAnyNumberOfRanks(ranks: Int) throws {
    let order = try order(0.5)
    var settings = AugmentationSettings()
    settings["jpeg"].probability = 0.5
    settings["noise"].probability = 0.5
    let augmentations = Augmentations(settings)
    let one = try BatchLoader(
      training: set, order: order, batchSize: 8, crop: 16, augmentations: augmentations)
    // Begun in the midst, by other threads.
    let many = try (0..<ranks).map {
      try BatchLoader(
        training: set, order: order, batchSize: 8 / ranks, crop: 16, rank: $0, ranks: ranks,
        position: 16, augmentations: augmentations, threads: 1 + $0)
    }
    for step in 0..<6 {
      let batch = try #require(try one.next())
      let whole = (Array(batch.images), Array(batch.labels), Array(batch.methods))
      guard step >= 2 else { continue }
      let parts = try many.map { try #require(try $0.next()) }
      #expect(parts.flatMap { Array($0.images) } == whole.0)
      #expect(parts.flatMap { Array($0.labels) } == whole.1)
      #expect(parts.flatMap { Array($0.methods) } == whole.2)
    }
  }

  @Test func aSetThatHasTheMethodKeepsItsNumber() throws {
    try ShardFixtures.write(
      folder("own-c.h5"), methods: [0, 2, 1], names: ["real", "zoom", "self-blended"],
      height: height, width: width)
    let own = try ShardSet(patterns: [folder("own-c.h5")])
    #expect(try own.methodNamesWithSelfBlended() == ["real", "self-blended", "zoom"])
    #expect(own.selfBlendedMethod == 1)
    let full = ["real"] + (1..<256).map { "method \($0)" }
    try ShardFixtures.write(
      folder("own-d.h5"), methods: [0, 1], names: full, height: height, width: width)
    let many = try ShardSet(patterns: [folder("own-d.h5")])
    #expect(
      ShardFixtures.message { _ = try many.methodNamesWithSelfBlended() }?
        .contains("255 are the most") == true)
  }

  // MARK: Where the face lies

  /// Shards that say where faces lie: by landmarks, by boxes, in aligned crops.
  private func located(
    _ name: String, alignment: FaceCropSettings.Alignment, landmarks: [SIMD2<Float>]?
  ) throws -> (set: ShardSet, box: SIMD4<Float>) {
    let box = SIMD4<Float>(0, 50, 60, 130)
    let settings = FaceCropSettings(size: 24, margin: 1.3, alignment: alignment)
    let preprocessing = FacePreprocessing(
      settings: settings, detectorVersion: "19", landmarkModel: nil)
    let writer = try ShardWriter(
      path: folder(name), height: height, width: width, methodNames: ["real"],
      hasSources: false, hasOrigins: true, hasLandmarks: landmarks != nil,
      preprocessing: preprocessing.json.line())
    for i in 0..<3 {
      try writer.append(
        image: KnownImage.pixels(i, height: height, width: width), method: 0,
        origin: FaceOrigin(
          box: i == 1 ? box : SIMD4(300, 300, 380, 380), landmarks: landmarks))
    }
    try writer.finish()
    return (try ShardSet(patterns: [folder(name)]), box)
  }

  private func fake(of set: ShardSet) throws -> RGBImage {
    try SelfBlender(set: set, seed: 2, share: 1).fake(
      of: SampleDraw(sample: 1, visit: 4, isSelfBlended: true), stored(1)
    ).picture
  }

  private func fake(_ face: FaceExtent) -> RGBImage {
    SelfBlending(seed: 2, visit: 4, sample: 1 + 1 << 40).applied(to: stored(1), face: face).picture
  }

  @Test func theFaceLiesWhereTheShardSays() throws {
    let points: [SIMD2<Float>] = (0..<68).map { i in
      let angle = Float(i) / 68 * 2 * .pi
      return SIMD2(11, 12) + 5 * SIMD2(Foundation.cos(angle), Foundation.sin(angle))
    }
    let hull = try #require(FaceExtent(landmarks: points, width: width, height: height))
    for alignment in FaceCropSettings.Alignment.allCases {
      let (set, _) = try located("l-\(alignment).h5", alignment: alignment, landmarks: points)
      #expect(try fake(of: set) == fake(hull))
    }
    let (boxed, box) = try located("boxes.h5", alignment: .none, landmarks: nil)
    #expect(
      try fake(of: boxed)
        == fake(FaceExtent(box: box, margin: 1.3, width: width, height: height)))
    let usual = fake(FaceExtent(margin: nil, width: width, height: height))
    let (aligned, _) = try located("aligned.h5", alignment: .similarity, landmarks: nil)
    #expect(try fake(of: aligned) == usual)
    // Landmarks that are none.
    let (broken, _) = try located(
      "broken.h5", alignment: .similarity, landmarks: Array(repeating: SIMD2(.nan, 0), count: 68))
    #expect(try fake(of: broken) == usual)
    #expect(Set([fake(hull), usual, try fake(of: boxed)].map(\.pixels)).count == 3)
  }

  // MARK: Shards of them

  @Test func shardsOfThemHaveFacesFakesMasksAndSources() throws {
    let job = try SelfBlendedShards(output: folder("made"), of: set, seed: 9)
    #expect(job.fileNames == ["faces-00000.h5", "faces-00001.h5"] && job.splits == ["faces"])
    #expect(job.imageCount == 8)
    let place = try job.prepare(overwrite: false)
    var told: [Int] = []
    for part in 0..<2 {
      try job.write(part: part, of: 2, threads: 1 + part) { done, total in
        told.append(done)
        #expect(total == 4)
      }
    }
    try job.publish(into: place)
    #expect(told == [4, 4])

    let made = try ShardSet(patterns: [folder("made/*.h5")])
    #expect(made.methodNames == ["real", "self-blended"] && made.hasMasks)
    #expect(made.methods == [0, 1, 0, 1, 0, 1, 0, 1])
    let real = (0..<set.count).filter { set.labels[$0] == 0 }
    let (sources, before) = (try made.readSources(), try set.readSources())
    let blender = SelfBlender(set: set, seed: 9, share: 1)
    for (i, sample) in real.enumerated() {
      #expect(sources[2 * i] == before[sample] && sources[2 * i + 1] == before[sample])
      let (fake, mask) = try blender.fake(
        of: SampleDraw(sample: sample, visit: 0, isSelfBlended: true), stored(sample))
      let blank = [UInt8](repeating: 0, count: height * width)
      for (row, image, expected) in [
        (2 * i, stored(sample), blank), (2 * i + 1, fake, mask),
      ] {
        var pixels = [UInt8](repeating: 0, count: made.imageSize)
        try pixels.withUnsafeMutableBufferPointer { try made.readImage(row, into: $0) }
        var found = [UInt8](repeating: 1, count: height * width)
        try found.withUnsafeMutableBufferPointer { try made.readMask(row, into: $0) }
        #expect(pixels == image.pixels && found == expected)
      }
    }
  }

  @Test func shardsOfThemKeepWhereFacesWereFoundAndTheirSplit() throws {
    let points: [SIMD2<Float>] = (0..<68).map { SIMD2(Float($0 % 9) + 8, Float($0 / 9) + 6) }
    let (located, box) = try located("test-00007.h5", alignment: .none, landmarks: points)
    let job = try SelfBlendedShards(output: folder("made"), of: located, seed: 9)
    #expect(job.fileNames == ["test-00000.h5"])
    let place = try job.prepare(overwrite: false)
    try job.write(part: 0, of: 1, threads: 2) { _, _ in }
    try job.publish(into: place)
    let shard = try Shard(reading: folder("made/test-00000.h5"))
    #expect(shard.count == 6 && shard.preprocessing == located.preprocessing?.text)
    #expect(try shard.readBox(3) == box && shard.readBox(2) == box)
    #expect(try shard.readLandmarks(5) == points)
    #expect(!shard.hasSources && shard.hasMasks)
  }

  @Test func whereThereAreNoRealFacesOrTheyWouldGiveWayItIsRefused() throws {
    try ShardFixtures.write(folder("fakes.h5"), methods: [1, 2])
    let fakes = try ShardSet(patterns: [folder("fakes.h5")])
    #expect(
      ShardFixtures.message {
        _ = try SelfBlendedShards(output: folder("made"), of: fakes, seed: 1)
      }?.contains("no real face") == true)
    #expect(
      ShardFixtures.message {
        _ = try SelfBlendedShards(output: folder("."), of: set, seed: 1)
      }?.contains("another --output") == true)
  }
}
