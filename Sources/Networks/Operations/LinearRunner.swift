import CKernels
import Tensors

/// A matrix over maps of one pixel, in float32: y = x·Wᵀ; dx = dy·W, dW = Σ over images of dyᵀ·x. What
/// the head reads in training is dropped out where that is set: x is then mask·x, and dx mask·(dy·W).
final class LinearRunner: OperationRunner, @unchecked Sendable {
  private let layer: NetworkGraph.Linear
  private let input: LoweredNetwork.StoredMap

  init(_ network: LoweredNetwork, _ index: Int, _ layer: NetworkGraph.Linear) {
    self.layer = layer
    input = network.maps[network.operations[index].inputs[0].map]
    super.init(network, index)
  }

  private var view: LoweredNetwork.MapView { operation.inputs[0] }
  private var isHead: Bool { layer.weight == network.graph.head.weight }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.outputGradient = output.stride * 4
    need.inputGradient = input.stride * 4
    return need
  }

  /// What it multiplied, and then the output's gradient.
  override func keptBytes(_ element: Int, _ purpose: PassPlan.Purpose) -> Int { keptBytes }
  private var keptBytes: Int { (input.stride + output.stride) * 4 }

  private func kept(_ pass: GraphPass, _ image: Int) -> UnsafeMutablePointer<Float> {
    pass.kept(index, image: image, bytes: keptBytes).assumingMemoryBound(to: Float.self)
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    let stride = input.stride + output.stride
    for image in images {
      pass.load(view, image: image, pixel: 0, pixels: 1, to: kept(pass, image))
      if isHead { pass.drops?.dropOut(kept(pass, image), image: image) }
    }
    let first = images.lowerBound
    MatrixMultiply.multiply(
      .float32, transposeB: true, m: images.count, n: layer.outputs, k: layer.inputs,
      a: kept(pass, first), lda: stride, b: pass.weights.floats(layer.weight),
      ldb: layer.inputs, c: pass.value(map, image: first), ldc: output.stride)
    for image in images {
      pass.finishOutput(map, image: image, pixel: 0, pixels: 1, task: task, hasPadding: true)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    for image in images {
      let gradient = kept(pass, image) + input.stride
      let dy = pass.outputGradient(
        operation.output, image: image, pixel: 0, pixels: 1, to: tile.outputGradient
      ).assumingMemoryBound(to: Float.self)
      gradient.update(from: dy, count: output.stride)
      MatrixMultiply.multiply(
        .float32, m: 1, n: layer.inputs, k: layer.outputs, a: dy, lda: output.stride,
        b: pass.weights.floats(layer.weight), ldb: layer.inputs, c: tile.inputGradient,
        ldc: input.stride)
      rfm_clear_padding(
        tile.inputGradient, 1, Int32(layer.inputs), Int32(input.stride), 4)
      if isHead {
        pass.drops?.dropOut(
          tile.inputGradient.assumingMemoryBound(to: Float.self), image: image)
      }
      pass.contribute(
        index, 0, image: image, pixel: 0, pixels: 1, da: tile.inputGradient, task: task)
      pass.endBackward(index, image: image, task: task)
    }
  }

  override func planWeightGradients(_ program: GraphTraining, tasks: Int) {
    let pass = program.pass
    let offset = program.detector.parameters[layer.weight].offset
    // Rows of the matrix, some of them a piece of work.
    let each = max(1, (1 << 14) / layer.inputs)
    let inputs = layer.inputs
    program.planParallel((layer.outputs + each - 1) / each) { [self, unowned program] part in
      for row in part * each..<min((part + 1) * each, layer.outputs) {
        let place = offset + row * inputs
        if !program.accumulates { program.gradients.clear(place..<place + inputs) }
        for image in 0..<pass.images {
          let x = kept(pass, image)
          program.gradients.add(
            x, times: x[input.stride + row], count: inputs, at: place)
        }
      }
    }
  }
}
