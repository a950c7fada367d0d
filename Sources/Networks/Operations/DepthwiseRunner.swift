import CKernels
import Tensors

/// A convolution of each channel by itself: y(r, x) = Σ w(ky, kx)·a(r·s + ky·d − p, x·s + kx·d − p).
///
/// Rows go through the window one by one, each input row read once. Backward goes down the output's
/// gradient: each of its rows adds to the weights' gradient, and when all that reach an input row are
/// there, that row is made.
final class DepthwiseRunner: OperationRunner, @unchecked Sendable {
  private let layer: NetworkGraph.Convolution
  private let input: LoweredNetwork.StoredMap
  private let view: LoweredNetwork.MapView
  private let place: PlacedWindow

  init(_ network: LoweredNetwork, _ index: Int, _ layer: NetworkGraph.Convolution) {
    self.layer = layer
    view = network.operations[index].inputs[0]
    input = network.maps[view.map]
    place = PlacedWindow(layer.window, over: input.size)
    super.init(network, index)
  }

  private var size: MapSize { output.size }
  private var taps: Int { layer.window.size }
  /// Rows of the output's gradient that are held.
  private var gradientRows: Int { place.retained + 1 }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.rows = RowRing.bytes(input, capacity: layer.window.reach, precision.size)
    need.band = gradientRows * size.width * output.stride * precision.size
    need.inputGradient =
      Tiling.rows(input.size) * input.size.width * input.stride * precision.size
    return need
  }

  override var laneCount: Int { taps * taps * output.stride }

  override func joins(_ images: Range<Int>) -> Bool { false }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    let rows = Tiling.rows(size)
    let weights = pass.weights.floats(layer.weight)
    var window = place.kernel
    for image in images {
      var ring = RowRing(pass, view, image: image, capacity: layer.window.reach, in: tile.rows)
      for r0 in stride(from: 0, to: size.height, by: rows) {
        let r1 = min(r0 + rows, size.height)
        for row in r0..<r1 {
          ring.fill(tile.window, place, row: row, pass)
          pass.maps.layers.depthwise(
            tile.window, weights, pass.value(map, image: image, pixel: row * size.width),
            &window, Int32(output.stride))
        }
        pass.finishOutput(
          map, image: image, pixel: r0 * size.width, pixels: (r1 - r0) * size.width, task: task,
          hasPadding: false)
      }
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let map = operation.output
    let element = pass.maps.precision.size
    let weights = pass.weights.floats(layer.weight)
    var window = place.kernel
    let lane = pass.lanes[index].map { $0 + task * laneCount }
    lane?.update(repeating: 0, count: laneCount)
    let rowBytes = size.width * output.stride * element
    let inputBytes = input.size.width * input.stride * element
    let chunk = Tiling.rows(input.size)
    let computes = pass.computesOutputGradient(map)
    for image in images {
      var ring = RowRing(pass, view, image: image, capacity: layer.window.reach, in: tile.rows)
      // Rows [done − waiting, done) are made and not handed on.
      var done = 0
      var waiting = 0
      for row in 0..<size.height {
        let dy = pass.outputGradient(
          map, image: image, pixel: row * size.width, pixels: size.width,
          to: tile.band + row % gradientRows * rowBytes)
        if let lane {
          ring.fill(tile.window, place, row: row, pass)
          pass.maps.layers.depthwise_weight(
            tile.window, dy, lane, &window, Int32(output.stride))
        }
        let end = place.finished(below: row + 1)
        while done < end {
          for tap in 0..<taps {
            tile.window[tap] = place.outputRow(done, tap: tap).map {
              computes
                ? UnsafeRawPointer(tile.band + $0 % gradientRows * rowBytes)
                : UnsafeRawPointer(pass.gradient(map, image: image, pixel: $0 * size.width))
            }
          }
          pass.maps.layers.depthwise_input(
            tile.window, weights, tile.inputGradient + waiting * inputBytes, &window,
            Int32(output.stride))
          done += 1
          waiting += 1
          if waiting == chunk || done == input.size.height {
            pass.contribute(
              index, 0, image: image, pixel: (done - waiting) * input.size.width,
              pixels: waiting * input.size.width, da: tile.inputGradient, task: task)
            waiting = 0
          }
        }
      }
      pass.endBackward(index, image: image, task: task)
    }
  }

  override func planWeightGradients(_ program: GraphTraining, tasks: Int) {
    program.planLaneSum(
      layer.weight, program.pass.lanes[index]!, count: laneCount, pitch: laneCount, tasks: tasks)
  }
}
