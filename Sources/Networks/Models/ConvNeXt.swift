extension NetworkGraph {
  /// ConvNeXt-T (Liu et al. 2022) as timm's `convnext_tiny` declares it.
  static func convnextTiny() -> NetworkGraph {
    let epsilon: Float = 1e-6
    var net = NetworkBuilder()
    var x = net.convolution("stem.0", net.image, 96, Window(4, stride: 4), bias: true)
    x = net.layerNorm("stem.1", x, epsilon: epsilon)
    let depths = [3, 3, 9, 3]
    let last = Double(depths.reduce(0, +) - 1)
    var number = 0.0
    for (stage, blocks) in depths.enumerated() {
      let width = 96 << stage
      if stage > 0 {
        let name = "stages.\(stage).downsample"
        x = net.layerNorm("\(name).0", x, epsilon: epsilon)
        x = net.convolution("\(name).1", x, width, Window(2, stride: 2), bias: true)
      }
      for block in 0..<blocks {
        let name = "stages.\(stage).blocks.\(block)"
        var y = net.depthwise("\(name).conv_dw", x, Window(7, padding: .zeros(3)), bias: true)
        y = net.layerNorm("\(name).norm", y, epsilon: epsilon)
        y = net.activation(.gelu, net.pixelwise("\(name).mlp.fc1", y, 4 * width))
        y = net.pixelwise("\(name).mlp.fc2", y, width)
        x = net.residual(
          net.layerScale("\(name).gamma", y, initial: 1e-6), x, share: number / last)
        number += 1
      }
      net.stage("stages.\(stage)", x)
    }
    x = net.layerNorm("head.norm", net.globalAverage(x), epsilon: epsilon)
    return net.graph(head: "head.fc", of: x)
  }
}

extension PublishedNames {
  /// timm has the names here.
  static let convnext = PublishedNames(
    head: "head.fc", otherHeads: ["fc", "last_linear", "classifier"], extras: [])
}
