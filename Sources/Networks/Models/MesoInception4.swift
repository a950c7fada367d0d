extension NetworkGraph {
  /// MesoInception-4 (Afchar et al. 2018) with the names, and the order of ReLU and norm, of the PyTorch
  /// version in DeepfakeBench. Its linear layer is made for a map of 8×8, so it takes 256 pixels alone.
  static func mesoInception4() -> NetworkGraph {
    var net = NetworkBuilder()
    var x = net.image
    // Channels of the four branches.
    for (number, (a, b, c, d)) in [(1, 4, 4, 2), (2, 4, 4, 2)].enumerated() {
      let name = "Incption\(number + 1)"
      var branches = [net.convolution("\(name)_conv1", x, a, Window(1))]
      for (branch, (channels, dilation)) in [(b, 1), (c, 2), (d, 3)].enumerated() {
        let first = net.convolution("\(name)_conv\(branch + 2)_1", x, channels, Window(1))
        branches.append(
          net.convolution(
            "\(name)_conv\(branch + 2)_2", first, channels,
            Window(3, padding: .zeros(dilation), dilation: dilation)))
      }
      x = net.batchNorm("\(name)_bn", net.concatenation(branches))
      x = net.maximumPool(x, Window(2, stride: 2))
      net.stage(name, x)
    }
    // The same norm follows both.
    x = net.convolution("conv1", x, 16, Window(5, padding: .zeros(2)))
    x = net.batchNorm("bn1", net.relu(x))
    x = net.maximumPool(x, Window(2, stride: 2))
    x = net.convolution("conv2", x, 16, Window(5, padding: .zeros(2)))
    x = net.batchNorm("bn1", net.relu(x))
    x = net.maximumPool(x, Window(4, stride: 4))
    x = net.linear("fc1", net.flatten(x, pixels: 64), 16)
    return net.graph(head: "fc2", of: net.activation(.leakyReLU(slope: 0.1), x))
  }
}

extension PublishedNames {
  /// DeepfakeBench has the names here.
  static let mesoInception4 = PublishedNames(
    head: "fc2", otherHeads: ["last_linear", "classifier"], extras: [])
}
