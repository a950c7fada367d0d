import TestSupport
import Testing

@testable import Configuration
@testable import FaceShards
@testable import MessagePassing
@testable import Training

@Suite(.serialized) struct MethodExclusionTests {
  /// Images of 36 pixels, a shard each for training and validation.
  private func shard(_ path: String, methods: [Int], names: [String]) throws {
    let writer = try ShardWriter(path: path, height: 36, width: 36, methodNames: names)
    for (i, method) in methods.enumerated() {
      let image = [UInt8](repeating: UInt8(i), count: 36 * 36 * 3)
      try image.withUnsafeBufferPointer {
        try writer.append(image: $0, method: method, source: "\(i)")
      }
    }
    try writer.finish()
  }

  private func data(
    in folder: TemporaryFolder, excluding methods: [String],
    _ change: (inout Configuration) -> Void = { _ in }
  ) throws -> TrainingData {
    try shard(
      folder.path + "/train.h5", methods: [0, 1, 2, 3, 3, 0, 2, 1, 1, 0, 3],
      names: ["real", "blend", "grid", "swap"])
    try shard(
      folder.path + "/validation.h5", methods: [3, 0, 2, 1],
      names: ["real", "swap", "grid", "late"])
    var configuration = Configuration()
    configuration.data.train = [folder.path + "/train.h5"]
    configuration.data.validation = [folder.path + "/validation.h5"]
    configuration.data.crop = 32
    configuration.data.excludeMethods = methods
    configuration.training.batchPerRank = 4
    change(&configuration)
    return try TrainingData(configuration, Communicator.world(needing: .single))
  }

  @Test(arguments: [
    ("shuffled", "balanced"), ("shuffled", "uniform"), ("sequential", "balanced"),
  ]) func anExcludedMethodIsNeverSeenAndAllOthersAre(order: String, sampling: String) throws {
    let folder = TemporaryFolder()
    let data = try data(in: folder, excluding: ["swap", "blend"]) {
      $0.data.order = .init(rawValue: order)!
      $0.data.sampling = .init(rawValue: sampling)!
    }
    // Three real images and two by the method that is left.
    #expect(data.order.epochLength == (sampling == "balanced" && order == "shuffled" ? 6 : 5))
    let loader = try data.loader(position: 0)
    var seen: Set<Int> = []
    for _ in 0..<12 { seen.formUnion(try #require(try loader.next()).samples) }
    #expect(seen == [0, 2, 5, 6, 9])
    // Validation does without them too: shards may number methods in another order.
    let validation = try #require(data.validation)
    let names = data.validationSamples.map {
      validation.methodNames[Int(validation.methods[$0])]
    }
    #expect(names == ["late", "real", "grid"])
  }

  @Test func excludingNothingChangesNothing() throws {
    let folder = TemporaryFolder()
    let data = try data(in: folder, excluding: [])
    #expect(data.validationSamples == [0, 1, 2, 3])
    let whole = try SampleOrder(labels: data.training.labels, kind: .balanced, seed: 5)
    #expect((0..<60).allSatisfy { whole.draw(at: $0) == data.order.draw(at: $0) })
  }

  @Test func aMethodThatNoShardHasIsRefusedWithTheNearest() throws {
    let folder = TemporaryFolder()
    let error = try #require(throws: MethodExclusion.UnknownMethod.self) {
      try data(in: folder, excluding: ["grid", "bland"])
    }
    #expect(
      error.description
        == "data.exclude_methods: no shard has a method 'bland'; did you mean 'blend'? They have: "
        + "blend, grid, late, swap")
    // What is not a manipulation can't be left out.
    #expect(throws: MethodExclusion.UnknownMethod.self) {
      try data(in: folder, excluding: ["real"])
    }
  }

  @Test func excludingEveryMethodIsRefused() throws {
    let folder = TemporaryFolder()
    #expect(throws: MissingClassError.self) {
      try data(in: folder, excluding: ["blend", "grid", "swap"])
    }
  }

  // MARK: Fakes that are made of real faces

  /// With all fakes made, the shards' own are never seen, and none is needed.
  @Test func whereAllFakesAreMadeNoneIsNeeded() throws {
    let folder = TemporaryFolder()
    for excluded in [[], ["blend", "grid", "swap"]] {
      let data = try data(in: folder, excluding: excluded) { $0.data.selfBlended = 1 }
      #expect(data.order.epochLength == 6)
      #expect(data.methodNames == ["real", "blend", "grid", "swap", "self-blended"])
      let loader = try data.loader(position: 0)
      var seen: [Int: Set<Int>] = [:]
      for _ in 0..<12 {
        let batch = try #require(try loader.next())
        for i in 0..<batch.count {
          seen[Int(batch.methods[i]), default: []].insert(batch.samples[i])
          #expect(batch.labels[i] == (batch.methods[i] == 0 ? 0 : 1))
        }
      }
      #expect(seen == [0: [0, 5, 9], 4: [0, 5, 9]])
    }
  }

  @Test func someFakesAreMadeAndTheRestAreTheShards() throws {
    let folder = TemporaryFolder()
    let data = try data(in: folder, excluding: ["swap"]) { $0.data.selfBlended = 0.5 }
    let loader = try data.loader(position: 0)
    var counts: [Int: Int] = [:]
    for _ in 0..<20 {
      let batch = try #require(try loader.next())
      for method in batch.methods { counts[Int(method), default: 0] += 1 }
    }
    #expect(counts[0] == 40 && counts[4] == 20 && counts[3] == nil)
    #expect(counts[1]! + counts[2]! == 20)
  }
}
