import CKernels
import Tensors

/// A patch head: a matrix and a bias over the channels of each pixel give two logits, in float32 whatever
/// the maps are: y = x·Wᵀ, dx = dy·W, dW = Σ over pixels of dyᵀ·x.
final class PatchHeadRunner: OperationRunner, @unchecked Sendable {
  private let layer: NetworkGraph.Linear
  private let input: LoweredNetwork.StoredMap

  init(_ network: LoweredNetwork, _ index: Int, _ layer: NetworkGraph.Linear) {
    self.layer = layer
    input = network.maps[network.operations[index].inputs[0].map]
    super.init(network, index)
  }

  private var view: LoweredNetwork.MapView { operation.inputs[0] }
  private var rows: Int { Tiling.rows(input.size) }
  private var tileElements: Int { rows * input.size.width * input.stride }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.operand = tileElements * precision.size
    need.inputGradient = tileElements * precision.size
    need.outputGradient = rows * input.size.width * output.stride * 4
    need.floats = precision == .float32 ? 0 : tileElements * 4
    return need
  }

  override var laneCount: Int { paddedChannels(layer.outputs * layer.inputs) }

  override func joins(_ images: Range<Int>) -> Bool { false }

  /// Calls `body` with tiles of an image, whole rows each.
  private func forEachTile(_ body: (_ pixel: Int, _ pixels: Int) -> Void) {
    let width = input.size.width
    for r0 in stride(from: 0, to: input.size.height, by: rows) {
      body(r0 * width, min(rows, input.size.height - r0) * width)
    }
  }

  /// Pixels as they are read, in float32.
  private func operand(
    _ pass: GraphPass, _ tile: TileMemory, image: Int, pixel: Int, pixels: Int
  ) -> UnsafePointer<Float> {
    pass.load(view, image: image, pixel: pixel, pixels: pixels, to: tile.operand)
    if pass.kernels(view.map).precision == .float32 {
      return UnsafePointer(tile.operand.assumingMemoryBound(to: Float.self))
    }
    pass.maps.table.to_float(tile.operand, tile.floats, pixels * input.stride)
    return UnsafePointer(tile.floats)
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    for image in images {
      forEachTile { pixel, pixels in
        let x = operand(pass, tile, image: image, pixel: pixel, pixels: pixels)
        MatrixMultiply.multiply(
          .float32, transposeB: true, m: pixels, n: layer.outputs, k: layer.inputs, a: x,
          lda: input.stride, b: pass.weights.floats(layer.weight), ldb: layer.inputs,
          c: pass.value(map, image: image, pixel: pixel), ldc: output.stride)
        pass.finishOutput(
          map, image: image, pixel: pixel, pixels: pixels, task: task, hasPadding: true)
      }
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let map = operation.output
    let isNarrow = pass.kernels(view.map).precision != .float32
    for image in images {
      forEachTile { pixel, pixels in
        let dy = pass.outputGradient(
          map, image: image, pixel: pixel, pixels: pixels, to: tile.outputGradient)
        if let lanes = pass.lanes[index] {
          let x = operand(pass, tile, image: image, pixel: pixel, pixels: pixels)
          MatrixMultiply.multiply(
            .float32, transposeA: true, m: layer.outputs, n: layer.inputs, k: pixels, a: dy,
            lda: output.stride, b: x, ldb: input.stride,
            accumulate: image > images.lowerBound || pixel > 0,
            c: lanes + task * laneCount, ldc: layer.inputs)
        }
        let dx = isNarrow ? UnsafeMutableRawPointer(tile.floats) : tile.inputGradient
        MatrixMultiply.multiply(
          .float32, m: pixels, n: layer.inputs, k: layer.outputs, a: dy, lda: output.stride,
          b: pass.weights.floats(layer.weight), ldb: layer.inputs, c: dx, ldc: input.stride)
        rfm_clear_padding(dx, Int32(pixels), Int32(layer.inputs), Int32(input.stride), 4)
        if isNarrow {
          pass.maps.table.from_float(tile.floats, tile.inputGradient, pixels * input.stride)
        }
        pass.contribute(
          index, 0, image: image, pixel: pixel, pixels: pixels, da: tile.inputGradient, task: task)
      }
      pass.endBackward(index, image: image, task: task)
    }
  }

  override func planWeightGradients(_ program: GraphTraining, tasks: Int) {
    program.planLaneSum(
      layer.weight, program.pass.lanes[index]!, count: layer.outputs * layer.inputs,
      pitch: laneCount, tasks: tasks)
  }
}
