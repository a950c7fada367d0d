import Tensors

/// What an operation of a program costs an image or a batch, and the time that workers spent in it.
public struct OperationProfile: Sendable {
  /// Published name of the layer that it runs, or of the one that comes next to it.
  public let name: String
  /// In words.
  public let kind: String
  /// Height, width and channels of what it makes.
  public let output: [Int]
  /// Of a run over the images that were asked about.
  public let forward: OperationCost
  public let backward: OperationCost
  /// Seconds of all workers together, since measuring began.
  public let forwardSeconds: Double
  public let backwardSeconds: Double

  fileprivate init(
    _ plan: PassPlan, _ index: Int, images: Int, _ precision: Precision, _ clocks: [OperationClock]
  ) {
    let map = plan.network.maps[plan.network.operations[index].output]
    name = map.name
    kind = plan.network.words(index)
    output = [map.size.height, map.size.width, map.channels]
    forward = plan.forwardCost(index, images: images, precision)
    backward = plan.backwardCost(index, images: images, precision)
    forwardSeconds = clocks.reduce(0) { $0 + $1.seconds(index, isBackward: false) }
    backwardSeconds = clocks.reduce(0) { $0 + $1.seconds(index, isBackward: true) }
  }
}

extension PassPlan {
  func profiles(images: Int, _ precision: Precision, _ tiles: [TileMemory]) -> [OperationProfile] {
    let clocks = tiles.compactMap(\.clock)
    return network.operations.indices.map {
      OperationProfile(self, $0, images: images, precision, clocks)
    }
  }

  /// Begins anew to measure the operations of those who work with `tiles`.
  func measure(_ tiles: [TileMemory]) {
    for tile in tiles { tile.clock = OperationClock(operations: network.operations.count) }
  }
}
