/** The site: the pages of ../docs, in the order a newcomer reads them, and typedoc's reference; stage.mjs puts both where vitepress finds Vue. */
import { defineConfig } from 'vitepress';

const page = (text: string, link: string) => ({ text, link });

export default defineConfig({
  title: 'jorch',
  description: 'torch for Node.js, with JAX’s speed',
  srcDir: 'stage/docs',
  outDir: '../build/site',
  cacheDir: '../build/site-cache',
  cleanUrls: true,
  // Pages link to files of the repository, which are not part of the site; the type `Index` makes a page of a name that vitepress has its own idea of.
  ignoreDeadLinks: [/\.\.\//, /type-aliases\/index$/],
  markdown: { lineNumbers: false },
  themeConfig: {
    search: {
      provider: 'local',
      options: {
        // A thousand generated pages would bury the guide.
        _render: (source, env, md) => (env.relativePath.startsWith('reference/') ? '' : md.render(source, env)),
      },
    },
    outline: [2, 3],
    nav: [
      page('Guide', '/start'),
      page('Reference', '/reference/'),
      page('Errors', '/errors'),
      page('Operators', '/COVERAGE'),
    ],
    sidebar: {
      '/': [
        {
          text: 'Guide',
          items: [
            page('Start', '/start'),
            page('Tensors', '/tensors'),
            page('compile', '/compile'),
            page('Function transforms', '/transforms'),
            page('Control flow', '/control-flow'),
            page('Optimisation', '/optimisation'),
            page('Networks', '/nn'),
            page('Files', '/files'),
            page('In a service', '/serving'),
            page('NVIDIA GPUs', '/CUDA'),
            page('Several devices', '/sharding'),
          ],
        },
        {
          text: 'Coming from',
          items: [page('PyTorch', '/from-pytorch'), page('JAX', '/from-jax')],
        },
        {
          text: 'When it goes wrong',
          items: [page('Sharp bits', '/sharp-bits'), page('Debugging', '/debugging'), page('Errors', '/errors')],
        },
        {
          text: 'Behind it',
          items: [
            page('Performance', '/PERFORMANCE'),
            page('Reliability', '/RELIABILITY'),
            page('Operators', '/COVERAGE'),
            page('Internals', '/internals'),
          ],
        },
      ],
    },
  },
});
