import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Images

@Suite struct BatchLoaderTests {
  let folder: TemporaryFolder
  let set: ShardSet

  init() throws {
    folder = TemporaryFolder()
    try ShardFixtures.write(folder("a.h5"), methods: [0, 1, 1, 0, 2, 1, 2])
    try ShardFixtures.write(
      folder("b.h5"), methods: [1, 0, 0, 1, 1, 1], names: ["real", "grid"], first: 7)
    set = try ShardSet(patterns: [folder("*.h5")])
  }

  /// What a batch holds, copied.
  private struct Contents: Equatable {
    var position: Int
    var images: [Float]
    var samples: [Int]
    var visits: [Int]
    var labels: [UInt8]
    var methods: [UInt8]

    init(_ batch: Batch) {
      position = batch.position
      images = Array(batch.images)
      samples = Array(batch.samples)
      visits = Array(batch.visits)
      labels = Array(batch.labels)
      methods = Array(batch.methods)
    }
  }

  /// The network input of a draw, straight from the fixture.
  private func expected(_ draw: SampleDraw, geometry: CropGeometry) -> [Float] {
    let image = KnownImage.pixels(draw.sample, height: 8, width: 10)
    var out = [Float](repeating: 0, count: geometry.side * geometry.side * 3)
    image.withUnsafeBufferPointer { image in
      out.withUnsafeMutableBufferPointer {
        PixelNormalisation().cut(geometry, of: image, width: 10, into: $0)
      }
    }
    return out
  }

  @Test(arguments: SampleOrderKind.allCases)
  func trainingBatchesEqualDirectReads(kind: SampleOrderKind) throws {
    let order = try SampleOrder(labels: set.labels, kind: kind, seed: 5)
    let loader = try BatchLoader(
      training: set, order: order, batchSize: 4, crop: 6, position: 8, depth: 2)
    for step in 0..<20 {
      let batch = try #require(try loader.next())
      #expect(batch.count == 4 && batch.position == 8 + step * 4)
      for i in 0..<4 {
        let draw = order.draw(at: 8 + step * 4 + i)
        #expect(batch.samples[i] == draw.sample && batch.visits[i] == draw.visit)
        #expect(batch.identifiers[i] == draw.sample)
        #expect(batch.labels[i] == set.labels[draw.sample])
        #expect(batch.methods[i] == set.methods[draw.sample])
        let geometry = CropGeometry.random(
          height: 8, width: 10, side: 6, flips: true, seed: 5, visit: draw.visit,
          sample: draw.sample)
        let image = batch.images[i * 108..<(i + 1) * 108]
        #expect(Array(image) == expected(draw, geometry: geometry))
      }
    }
  }

  @Test(arguments: [2, 4, 64]) func theOrderIsIndependentOfTheNumberOfRanks(ranks: Int) throws {
    let order = try SampleOrder(labels: set.labels, kind: .balanced, seed: 1)
    let batch = max(8, ranks)
    let one = try BatchLoader(training: set, order: order, batchSize: batch, crop: 7)
    let many = try (0..<ranks).map {
      try BatchLoader(
        training: set, order: order, batchSize: batch / ranks, crop: 7, rank: $0, ranks: ranks)
    }
    for _ in 0..<6 {
      let whole = Contents(try #require(try one.next()))
      let parts = try many.map { Contents(try #require(try $0.next())) }
      #expect(parts.flatMap(\.images) == whole.images)
      #expect(parts.flatMap(\.samples) == whole.samples)
      #expect(parts.flatMap(\.visits) == whole.visits)
    }
  }

  @Test func aResumeAtAnyPositionAndNumberOfRanksGoesOn() throws {
    let order = try SampleOrder(labels: set.labels, kind: .uniform, seed: 1)
    let loader = try BatchLoader(training: set, order: order, batchSize: 6, crop: 8)
    var batches: [Contents] = []
    for _ in 0..<10 { batches.append(Contents(try #require(try loader.next()))) }
    for step in 0..<10 {
      let resumed = try BatchLoader(
        training: set, order: order, batchSize: 3, crop: 8, rank: 1, ranks: 2, position: step * 6,
        depth: 1)
      let batch = Contents(try #require(try resumed.next()))
      #expect(batch.samples == Array(batches[step].samples[3...]))
      #expect(batch.images == Array(batches[step].images[(3 * 192)...]))
    }
  }

  @Test func theFirstDrawOfASampleInAnEpochIsMarked() throws {
    let order = try SampleOrder(labels: set.labels, kind: .uniform, seed: 1)
    // Longer than the order's own: some samples come twice.
    let epochLength = set.count + 4
    let loaders = try (0..<2).map {
      try BatchLoader(
        training: set, order: order, batchSize: 3, crop: 8, rank: $0, ranks: 2, position: 6,
        epochLength: epochLength)
    }
    var seen = Set(
      (0..<6).map { [$0 / epochLength, order.draw(at: $0).sample] })
    for step in 1..<12 {
      for (rank, loader) in loaders.enumerated() {
        let batch = try #require(try loader.next())
        for i in 0..<3 {
          let epoch = (step * 6 + rank * 3 + i) / epochLength
          let isNew = seen.insert([epoch, batch.samples[i]]).inserted
          #expect(batch.newInEpoch[i] == (isNew ? epoch : -1))
        }
      }
    }
    let evaluation = try BatchLoader(evaluating: set, samples: 0..<2, batchSize: 2, crop: 8)
    #expect(try #require(try evaluation.next()).newInEpoch.elementsEqual([-1, -1]))
  }

  @Test(arguments: [1, 2, 3, 5]) func evaluationCoversEverySampleOnceOverRanks(ranks: Int) throws {
    var samples: [Int] = []
    for rank in 0..<ranks {
      let part = WorkDivision.part(of: set.count, rank: rank, ranks: ranks)
      let loader = try BatchLoader(evaluating: set, samples: part, batchSize: 4, crop: 6)
      var sizes: [Int] = []
      while let batch = try loader.next() {
        sizes.append(batch.count)
        #expect(batch.position == (sizes.count - 1) * 4)
        for i in 0..<batch.count {
          let draw = SampleDraw(sample: batch.samples[i], visit: 0)
          let geometry = CropGeometry(top: 1, left: 2, side: 6)
          #expect(
            Array(batch.images[i * 108..<(i + 1) * 108]) == expected(draw, geometry: geometry))
        }
        samples += batch.samples
      }
      #expect(sizes.dropLast().allSatisfy { $0 == 4 } && sizes.reduce(0, +) == part.count)
      #expect(try loader.next() == nil, "the end stays the end")
    }
    #expect(samples == Array(0..<set.count))
  }

  @Test func evaluationOfNothingEndsAtOnce() throws {
    let loader = try BatchLoader(evaluating: set, samples: 0..<0, batchSize: 4, crop: 6)
    #expect(try loader.next() == nil)
  }

  @Test func aBatchIsLeftAloneUntilTheNextIsTaken() throws {
    let order = try SampleOrder(labels: set.labels, kind: .uniform, seed: 3)
    let loader = try BatchLoader(training: set, order: order, batchSize: 2, crop: 8, depth: 1)
    for _ in 0..<30 {
      let batch = try #require(try loader.next())
      let before = Contents(batch)
      usleep(500)
      #expect(Contents(batch) == before)
    }
  }

  @Test func anErrorOfTheThreadComesAfterTheGoodBatchesAndStays() throws {
    let path = folder("b.h5")
    var bytes = try Data(contentsOf: URL(filePath: path))
    let place = try #require(
      bytes.firstRange(of: KnownImage.pixels(9, height: 8, width: 10)[..<32]))
    bytes[place.lowerBound] ^= 0xff
    try bytes.write(to: URL(filePath: path))
    let damaged = try ShardSet(patterns: [folder("*.h5")])
    let loader = try BatchLoader(evaluating: damaged, samples: 0..<13, batchSize: 2, crop: 8)
    for _ in 0..<4 { #expect(try loader.next() != nil) }
    for _ in 0..<2 {
      let message = ShardFixtures.message { _ = try loader.next() }
      #expect(message?.hasPrefix("\(path), images: cannot read row 2: ") == true)
    }
  }

  @Test func aCropLargerThanTheImagesIsRefused() throws {
    let message = ShardFixtures.message {
      _ = try BatchLoader(evaluating: set, samples: 0..<1, batchSize: 1, crop: 9)
    }
    #expect(message?.contains("a crop of 9 pixels does not fit into images of 8x10") == true)
  }

  @Test func loadersEndWithTheirOwnersAtAnyMoment() throws {
    let order = try SampleOrder(labels: set.labels, kind: .uniform, seed: 3)
    for i in 0..<40 {
      let loader = try BatchLoader(
        training: set, order: order, batchSize: 3, crop: 8,
        augmentations: i % 2 == 0 ? Augmentations() : Self.augmentations, threads: 2, depth: 2)
      for _ in 0..<i % 4 { _ = try loader.next() }
      if i % 3 == 0 { usleep(200) }
    }
  }

  @Test func waitingIsMeasured() throws {
    let order = try SampleOrder(labels: set.labels, kind: .uniform, seed: 3)
    let loader = try BatchLoader(training: set, order: order, batchSize: 2, crop: 8)
    _ = try loader.next()
    let first = loader.waitedSeconds
    #expect(first >= 0 && first < 10)
    usleep(50_000)
    _ = try loader.next()
    #expect(loader.waitedSeconds - first < 0.01, "the batch was ready")
  }

  /// Every augmentation, on images so small that each is soon through.
  private static let augmentations = {
    var settings = AugmentationSettings()
    for kind in Augmentations.all { settings[kind.name].probability = 0.5 }
    return Augmentations(settings)
  }()

  @Test func augmentedBatchesEqualDirectReads() throws {
    let order = try SampleOrder(labels: set.labels, kind: .balanced, seed: 5)
    let loader = try BatchLoader(
      training: set, order: order, batchSize: 5, crop: 6, position: 8,
      augmentations: Self.augmentations, threads: 3)
    var warped = 0
    for step in 0..<10 {
      let batch = try #require(try loader.next())
      for i in 0..<5 {
        let draw = order.draw(at: 8 + step * 5 + i)
        #expect(batch.samples[i] == draw.sample && batch.visits[i] == draw.visit)
        var image = AugmentedImage(
          RGBImage(
            width: 10, height: 8, pixels: KnownImage.pixels(draw.sample, height: 8, width: 10)))
        try Self.augmentations.apply(
          to: &image, seed: 5, visit: draw.visit, sample: draw.sample)
        let geometry = CropGeometry.random(
          height: 8, width: 10, side: 6, flips: true, seed: 5, visit: draw.visit,
          sample: draw.sample)
        var expected = [Float](repeating: 0, count: 108)
        image.picture.pixels.withUnsafeBufferPointer { pixels in
          expected.withUnsafeMutableBufferPointer {
            PixelNormalisation().cut(geometry, of: pixels, width: 10, into: $0)
          }
        }
        #expect(Array(batch.images[i * 108..<(i + 1) * 108]) == expected)
        #expect(batch.warped[i] == image.isWarped && batch.geometries[i] == geometry)
        warped += image.isWarped ? 1 : 0
      }
    }
    #expect(warped > 10 && warped < 40)
  }

  @Test(arguments: [2, 4]) func augmentedImagesAreTheSameOnAnyNumberOfRanks(ranks: Int) throws {
    let order = try SampleOrder(labels: set.labels, kind: .uniform, seed: 1)
    let one = try BatchLoader(
      training: set, order: order, batchSize: 8, crop: 7, augmentations: Self.augmentations)
    // Begun in the midst, by other threads.
    let many = try (0..<ranks).map {
      try BatchLoader(
        training: set, order: order, batchSize: 8 / ranks, crop: 7, rank: $0, ranks: ranks,
        position: 16, augmentations: Self.augmentations, threads: 1 + $0)
    }
    for step in 0..<6 {
      let whole = Contents(try #require(try one.next()))
      guard step >= 2 else { continue }
      let parts = try many.map { Contents(try #require(try $0.next())) }
      #expect(parts.flatMap(\.images) == whole.images)
    }
  }

  @Test func aLoaderDegradesWholeImagesBeforeItCutsThem() throws {
    let folder = TemporaryFolder()
    let path = folder("a.h5")
    try ShardFixtures.write(path, methods: [0, 1, 2, 0, 1])
    let set = try ShardSet(patterns: [path])
    let steps: [Degradation] = [.noise(sigma: 5), .blur(sigma: 1)]
    // Out of order and one twice, so that neither order nor repetition may matter.
    let samples = [3, 1, 4, 1]
    let loader = try BatchLoader(
      evaluating: set, samples: samples, batchSize: 4, crop: 6, degradations: steps)
    let batch = try #require(try loader.next())
    for (i, sample) in samples.enumerated() {
      var image = RGBImage(
        width: 10, height: 8, pixels: KnownImage.pixels(sample, height: 8, width: 10))
      for step in steps { image = try step.applied(to: image, sample: sample) }
      var expected = [Float](repeating: 0, count: 108)
      image.pixels.withUnsafeBufferPointer { pixels in
        expected.withUnsafeMutableBufferPointer {
          PixelNormalisation().cut(
            .centre(height: 8, width: 10, side: 6), of: pixels, width: 10, into: $0)
        }
      }
      #expect(Array(batch.images[i * 108..<(i + 1) * 108]) == expected)
    }
  }
}
